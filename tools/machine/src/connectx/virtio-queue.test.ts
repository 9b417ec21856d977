import {
  MLX5_CMD_OP_CREATE_CQ, MLX5_CMD_OP_CREATE_GENERAL_OBJECT, MLX5_CMD_OP_DESTROY_CQ, MLX5_CMD_OP_DESTROY_EQ, MLX5_CMD_OP_DESTROY_GENERAL_OBJECT,
  MLX5_CMD_OP_DESTROY_MKEY, MLX5_CMD_OP_QUERY_GENERAL_OBJECT, MLX5_CMD_STAT_BAD_RES_ERR, MLX5_CMD_STAT_BAD_RES_STATE_ERR, MLX5_CMD_STAT_RES_BUSY,
  MLX5_EVENT_TYPE_COMP, MLX5_EVENT_TYPE_OBJECT_CHANGE, MLX5_GENERAL_OBJ_AT, MLX5_OBJ_TYPE_VIRTIO_NET_Q, MLX5_OBJ_TYPE_VIRTIO_Q_COUNTERS,
  MLX5_VIRTIO_NET_Q_OBJECT_STATE_ERR, MLX5_VIRTIO_NET_Q_OBJECT_STATE_INIT, MLX5_VIRTIO_NET_Q_OBJECT_STATE_RDY,
  MLX5_VIRTIO_NET_Q_OBJECT_STATE_SUSPEND, MLX5_VIRTIO_Q_EVENT_MODE_MSIX_MODE, MLX5_VIRTIO_Q_EVENT_MODE_QP_MODE, bits, mlx5_cmd_in, mlx5_cmd_out,
  mlx5_create_cq_in, mlx5_eqe, mlx5_eqe_comp, mlx5_eqe_obj_change, mlx5_general_obj_in, mlx5_general_obj_out, mlx5_virtio_q_counters,
} from '@vdpalab/uapi';
import { expect, test } from 'vitest';
import { Bench, connectx } from './driver.fixture.ts';
import { SYNDROMES } from './refusal.ts';
import { createKey, frame, keyInput, VirtioNet } from './virtio.fixture.ts';

const MAC = [2, 0, 0, 0, 1, 1];

/** A subfunction with a 1:1 key. */
async function device(): Promise<{ net: VirtioNet; key: number }> {
  const bench = new Bench();
  await bench.pf.start();
  const net = await VirtioNet.of(await (await bench.subfunction(0)).start());
  return { net, key: await createKey(net.driver, keyInput.all(net.pd)) };
}

test('frames go in and out of a subfunction by its queues', async () => {
  const { net, key } = await device();
  const [rx, tx] = [net.ring(), net.ring()];
  await net.takeAll(await net.ready(0, key, rx));
  await net.ready(1, key, tx);
  const at = net.post(rx);
  await net.arrive(frame(MAC));
  expect(net.back(rx)).toEqual([[1, 72]]);
  expect([...net.bench.ram(at + 12, 6)]).toEqual(MAC);
  net.outside.take();
  await net.send(1, tx, frame([0xff, 0xff, 0xff, 0xff, 0xff, 0xff], 100));
  expect([net.back(tx), net.outside.take().map((bytes) => bytes.length)]).toEqual([[[9, 0]], [100]]);
  const { counters } = net.bench.fn.subfunctions.slots[0]!.vhca.frames;
  expect([counters.rxFrames, counters.txFrames]).toEqual([1, 1]);
});

test('the doorbell counts what names no queue, and wakes only queues that send', async () => {
  const { net, key } = await device();
  const rx = net.ring();
  await net.ready(0, key, rx);
  net.kick(3);
  net.kick(0);
  const { counters } = net.bench.fn.subfunctions.slots[0]!.vhca.frames;
  expect([counters.kicks, counters.badKicks]).toEqual([1, 1]);
});

test('goes INIT, RDY, SUSPEND and no other way; indices stand still and can be taken on', async () => {
  const { net, key } = await device();
  const tx = net.ring();
  const number = await net.create(1, key, tx);
  expect(await net.query(number)).toEqual({ state: MLX5_VIRTIO_NET_Q_OBJECT_STATE_INIT, avail: 0, used: 0 });
  expect((await net.setState(number, MLX5_VIRTIO_NET_Q_OBJECT_STATE_SUSPEND)).status).toBe(MLX5_CMD_STAT_BAD_RES_STATE_ERR);
  await net.setState(number, MLX5_VIRTIO_NET_Q_OBJECT_STATE_RDY);
  expect((await net.setState(number, MLX5_VIRTIO_NET_Q_OBJECT_STATE_RDY)).syndrome).toBe(SYNDROMES['virtq.state']);
  for (let i = 0; i < 3; i++) await net.send(1, tx, frame(MAC));
  await net.setState(number, MLX5_VIRTIO_NET_Q_OBJECT_STATE_SUSPEND);
  await net.send(1, tx, frame(MAC));
  expect([net.back(tx).length, await net.query(number)]).toEqual([3, { state: MLX5_VIRTIO_NET_Q_OBJECT_STATE_SUSPEND, avail: 3, used: 3 }]);
  expect((await net.setState(number, MLX5_VIRTIO_NET_Q_OBJECT_STATE_RDY)).status).toBe(MLX5_CMD_STAT_BAD_RES_STATE_ERR);
  await net.driver.run(mlx5_general_obj_in.make({ opcode: MLX5_CMD_OP_DESTROY_GENERAL_OBJECT, obj_type: MLX5_OBJ_TYPE_VIRTIO_NET_Q, obj_id: number }));
  const again = await net.ready(1, key, tx, { hw_available_index: 3, hw_used_index: 3 });
  await net.bench.hw.sched.run();
  expect([net.back(tx).length, (await net.query(again)).avail]).toEqual([1, 4]);
});

test('a queue that cannot be is refused with a reason each', async () => {
  const { net, key } = await device();
  const ring = net.ring();
  const refused = async (index: number, fields: object, of = key): Promise<number> => (await net.driver.exec(net.queueInput(index, of, ring, fields))).syndrome;
  await net.create(0, key, ring);
  expect(await refused(4, {})).toBe(SYNDROMES['virtq.index']);
  expect(await refused(0, {})).toBe(SYNDROMES['object.busy']);
  expect(await refused(1, { queue_size: 24 })).toBe(SYNDROMES['virtq.size']);
  expect(await refused(1, { queue_size: 2048 })).toBe(SYNDROMES['virtq.size']);
  expect(await refused(1, { virtio_q_type: 1 })).toBe(SYNDROMES['virtq.type']);
  expect(await refused(1, { event_mode: 3 })).toBe(SYNDROMES['virtq.event-mode']);
  expect(await refused(1, { event_mode: MLX5_VIRTIO_Q_EVENT_MODE_MSIX_MODE, event_qpn_or_msix: 16 })).toBe(SYNDROMES['virtq.event-mode']);
  expect(await refused(1, { event_mode: MLX5_VIRTIO_Q_EVENT_MODE_QP_MODE, event_qpn_or_msix: 5 })).toBe(SYNDROMES['object.unknown']);
  expect(await refused(1, { desc_addr: 1n << 60n })).toBe(SYNDROMES['virtq.fields']);
  expect(await refused(1, { tisn_or_qpn: 77 })).toBe(SYNDROMES['object.unknown']);
  expect(await refused(1, { pd: 77 })).toBe(SYNDROMES['object.unknown']);
  expect(await refused(1, {}, key + 1)).toBe(SYNDROMES['object.unknown']);
  const other = mlx5_general_obj_in.make({ opcode: MLX5_CMD_OP_CREATE_GENERAL_OBJECT, obj_type: 0x18 });
  expect((await net.driver.exec(other)).syndrome).toBe(SYNDROMES['object.type']);
  const short = mlx5_general_obj_in.make({ opcode: MLX5_CMD_OP_CREATE_GENERAL_OBJECT, obj_type: MLX5_OBJ_TYPE_VIRTIO_NET_Q });
  expect((await net.driver.exec(short)).syndrome).toBe(SYNDROMES['length.input']);
  expect(net.bench.fn.subfunctions.slots[0]!.vhca.resources.queues.size).toBe(1);
});

test('packed rings are had where the lab file says so, of any size', async () => {
  for (const packed of [true, false]) {
    const bench = new Bench(connectx({ packed }));
    await bench.pf.start();
    const net = await VirtioNet.of(bench.pf);
    const key = await createKey(net.driver, keyInput.all(net.pd));
    const { syndrome } = await net.driver.exec(net.queueInput(0, key, net.ring(), { virtio_q_type: 1, queue_size: 24 }));
    expect(syndrome).toBe(packed ? 0 : SYNDROMES['virtq.type']);
  }
});

test('without split rings there is no queue', async () => {
  const bench = new Bench(connectx({ without: ['split'] }));
  await bench.pf.start();
  const net = await VirtioNet.of(bench.pf);
  const key = await createKey(net.driver, keyInput.all(net.pd));
  expect((await net.driver.exec(net.queueInput(0, key, net.ring()))).syndrome).toBe(SYNDROMES['virtq.type']);
});

test('in QP mode a completion event says that chains were used, in MSI-X mode a vector does', async () => {
  const { net, key } = await device();
  const { eqn } = await net.driver.eventQueue(0n, 2);
  const cqn = mlx5_cmd_out.get(await net.driver.run(mlx5_create_cq_in.make({ opcode: MLX5_CMD_OP_CREATE_CQ, c_eqn: eqn })), 'number');
  const [tx, other] = [net.ring(), net.ring()];
  const number = await net.ready(1, key, tx, { event_mode: MLX5_VIRTIO_Q_EVENT_MODE_QP_MODE, event_qpn_or_msix: cqn });
  await net.send(1, tx, frame(MAC));
  expect(net.driver.take().map((eqe) => [mlx5_eqe.get(eqe, 'type'), mlx5_eqe_comp.get(eqe, 'cqn', 32)])).toEqual([[MLX5_EVENT_TYPE_COMP, cqn]]);
  const busy = async (opcode: number, of: number): Promise<number> => (await net.driver.exec(mlx5_cmd_in.make({ opcode, number: of }))).status;
  expect([await busy(MLX5_CMD_OP_DESTROY_EQ, eqn), await busy(MLX5_CMD_OP_DESTROY_CQ, cqn)]).toEqual([MLX5_CMD_STAT_RES_BUSY, MLX5_CMD_STAT_RES_BUSY]);
  await net.driver.run(mlx5_general_obj_in.make({ opcode: MLX5_CMD_OP_DESTROY_GENERAL_OBJECT, obj_type: MLX5_OBJ_TYPE_VIRTIO_NET_Q, obj_id: number }));
  expect([await busy(MLX5_CMD_OP_DESTROY_CQ, cqn), await busy(MLX5_CMD_OP_DESTROY_EQ, eqn)]).toEqual([0, 0]);
  net.bench.msixOn();
  await net.ready(3, key, other, { event_mode: MLX5_VIRTIO_Q_EVENT_MODE_MSIX_MODE, event_qpn_or_msix: 9 });
  await net.send(3, other, frame(MAC));
  expect(net.bench.vectors()).toEqual([9]);
});

test('a queue whose ring is out of reach goes to ERR, with an event and a reason', async () => {
  const { net, key } = await device();
  await net.driver.eventQueue(bits(MLX5_EVENT_TYPE_OBJECT_CHANGE));
  const number = await net.ready(0, key, { ...net.ring(), used: 0x7000_0000 });
  expect(await net.query(number)).toMatchObject({ state: MLX5_VIRTIO_NET_Q_OBJECT_STATE_ERR });
  expect(net.driver.take().map((eqe) => [mlx5_eqe.get(eqe, 'type'), mlx5_eqe_obj_change.get(eqe, 'obj_type', 32), mlx5_eqe_obj_change.get(eqe, 'obj_id', 32)]))
    .toEqual([[MLX5_EVENT_TYPE_OBJECT_CHANGE, MLX5_OBJ_TYPE_VIRTIO_NET_Q, number]]);
  expect(net.bench.fn.subfunctions.slots[0]!.vhca.resources.queues.get(number).fault).toMatch('virtio.ring-area: used ring');
});

test('counts chains received and completed', async () => {
  const { net, key } = await device();
  const object = (opcode: number, id = 0) => mlx5_general_obj_in.make({ opcode, obj_type: MLX5_OBJ_TYPE_VIRTIO_Q_COUNTERS, obj_id: id });
  const create = new Uint8Array(MLX5_GENERAL_OBJ_AT + mlx5_virtio_q_counters.size);
  create.set(object(MLX5_CMD_OP_CREATE_GENERAL_OBJECT));
  const id = mlx5_general_obj_out.get(await net.driver.run(create), 'obj_id');
  const tx = net.ring();
  const number = await net.ready(1, key, tx, { counter_set_id: id });
  for (let i = 0; i < 5; i++) await net.send(1, tx, frame(MAC));
  const out = await net.driver.run(object(MLX5_CMD_OP_QUERY_GENERAL_OBJECT, id), MLX5_GENERAL_OBJ_AT + mlx5_virtio_q_counters.size);
  expect([mlx5_virtio_q_counters.get(out, 'received_desc', MLX5_GENERAL_OBJ_AT), mlx5_virtio_q_counters.get(out, 'completed_desc', MLX5_GENERAL_OBJ_AT)]).toEqual([5n, 5n]);
  expect((await net.driver.exec(object(MLX5_CMD_OP_DESTROY_GENERAL_OBJECT, id))).status).toBe(MLX5_CMD_STAT_RES_BUSY);
  await net.driver.run(mlx5_general_obj_in.make({ opcode: MLX5_CMD_OP_DESTROY_GENERAL_OBJECT, obj_type: MLX5_OBJ_TYPE_VIRTIO_NET_Q, obj_id: number }));
  expect((await net.driver.exec(object(MLX5_CMD_OP_DESTROY_GENERAL_OBJECT, id))).status).toBe(0);
});

test('a key in use cannot be destroyed, nor another function\'s', async () => {
  const { net, key } = await device();
  const number = await net.create(0, key, net.ring());
  const destroy = mlx5_cmd_in.make({ opcode: MLX5_CMD_OP_DESTROY_MKEY, number: key >>> 8 });
  expect((await net.driver.exec(destroy)).status).toBe(MLX5_CMD_STAT_RES_BUSY);
  expect((await net.bench.pf.exec(destroy)).status).toBe(MLX5_CMD_STAT_BAD_RES_ERR);
  await net.driver.run(mlx5_general_obj_in.make({ opcode: MLX5_CMD_OP_DESTROY_GENERAL_OBJECT, obj_type: MLX5_OBJ_TYPE_VIRTIO_NET_Q, obj_id: number }));
  expect((await net.driver.exec(destroy)).status).toBe(0);
});
