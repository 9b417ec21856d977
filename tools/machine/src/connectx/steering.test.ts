import {
  MLX5_CMD_OP_ALLOC_FLOW_COUNTER, MLX5_CMD_OP_CREATE_FLOW_TABLE, MLX5_CMD_OP_DEALLOC_FLOW_COUNTER, MLX5_CMD_OP_DELETE_FLOW_TABLE_ENTRY,
  MLX5_CMD_OP_DELETE_L2_TABLE_ENTRY, MLX5_CMD_OP_DESTROY_FLOW_GROUP, MLX5_CMD_OP_DESTROY_FLOW_TABLE, MLX5_CMD_OP_DESTROY_RQT, MLX5_CMD_OP_DESTROY_TIR,
  MLX5_CMD_OP_MODIFY_RQT, MLX5_CMD_OP_QUERY_FLOW_COUNTER, MLX5_CMD_OP_SET_FLOW_TABLE_ROOT, MLX5_CMD_OP_SET_L2_TABLE_ENTRY,
  MLX5_CMD_STAT_RES_BUSY, MLX5_FLOW_CONTEXT_ACTION_COUNT, MLX5_FLOW_CONTEXT_ACTION_DROP, MLX5_FLOW_CONTEXT_ACTION_FWD_DEST,
  MLX5_RQTC_LIST_Q_TYPE_VIRTIO_NET_Q, mlx5_cmd_in, mlx5_create_flow_group_in, mlx5_create_flow_table_in, mlx5_delete_l2_table_entry_in, mlx5_dest_format, mlx5_flow_counter,
  mlx5_flow_table_in, mlx5_query_flow_counter_in, mlx5_query_flow_counter_out, mlx5_rqt_in, mlx5_set_l2_table_entry_in, setBe32At,
} from '@vdpalab/uapi';
import { expect, test } from 'vitest';
import type { ConnectxFunctionConfig } from './config.ts';
import { Bench, connectx } from './driver.fixture.ts';
import { SYNDROMES } from './refusal.ts';
import { createKey, frame, keyInput, VirtioNet } from './virtio.fixture.ts';
import type { DriverRing, Match } from './virtio.fixture.ts';

const MAC = [2, 0, 0, 0, 1, 1];
const OTHER = [2, 0, 0, 0, 1, 9];
const BROADCAST = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
const MULTICAST = [0x33, 0x33, 0, 0, 0, 1];

/** What makes rules. */
const of = (mac: readonly number[], more: Match = {}): Match => ({ dmac_47_16: ((mac[0]! << 24) | (mac[1]! << 16) | (mac[2]! << 8) | mac[3]!) >>> 0, dmac_15_0: (mac[4]! << 8) | mac[5]!, ...more });
const WHOLE = of(BROADCAST);

/** Two pairs of a subfunction; nothing leads to them. */
async function device(config: Partial<ConnectxFunctionConfig> = {}) {
  const bench = new Bench(connectx(config));
  await bench.pf.start();
  const net = await VirtioNet.of(await (await bench.subfunction(0)).start());
  const key = await createKey(net.driver, keyInput.all(net.pd));
  const rings = [net.ring(), net.ring()] as const;
  const queues = [await net.ready(0, key, rings[0]), await net.ready(2, key, rings[1])] as const;
  for (const ring of rings) for (let i = 0; i < 8; i++) net.post(ring, i);
  return { bench, net, key, rings, queues };
}

type Device = Awaited<ReturnType<typeof device>>;

/** Whether a frame gets into a queue. */
async function arrives({ net }: Device, ring: DriverRing, bytes: Uint8Array): Promise<boolean> {
  await net.arrive(bytes);
  return net.back(ring).length === 1;
}

test('the first entry that matches a frame\'s destination and tag has it; without one it goes nowhere', async () => {
  const made = await device();
  const { net, rings: [ring], queues: [queue] } = made;
  const { tir } = await net.receiver(queue);
  expect(await arrives(made, ring, frame(MAC))).toBe(false); // no table
  const table = await net.table();
  const exact = await net.group(table, 0, 3, { ...WHOLE, cvlan_tag: 1, first_vid: 0xfff });
  const multicast = await net.group(table, 4, 7, of([1, 0, 0, 0, 0, 0]));
  await net.driver.run(net.ruleInput(table, exact, 0, of(MAC), tir));
  await net.driver.run(net.ruleInput(table, exact, 1, of(MAC, { cvlan_tag: 1, first_vid: 100 }), tir));
  const tried = async (): Promise<boolean[]> => [
    await arrives(made, ring, frame(MAC)), await arrives(made, ring, frame(MAC, 64, 100)), await arrives(made, ring, frame(MAC, 64, 101)),
    await arrives(made, ring, frame(OTHER)), await arrives(made, ring, frame(BROADCAST)), await arrives(made, ring, frame(MULTICAST)),
  ];
  expect(await tried()).toEqual([true, true, false, false, false, false]);
  await net.driver.run(net.ruleInput(table, multicast, 4, of([1, 0, 0, 0, 0, 0]), tir));
  await net.driver.run(net.ruleInput(table, exact, 2, of(BROADCAST), tir, { action: MLX5_FLOW_CONTEXT_ACTION_DROP, destination_list_size: 0 }, []));
  expect(await tried()).toEqual([true, true, false, false, false, true]);
  await net.driver.run(mlx5_flow_table_in.make({ opcode: MLX5_CMD_OP_DELETE_FLOW_TABLE_ENTRY, table_id: table, flow_index: 0 }));
  await net.driver.run(mlx5_flow_table_in.make({ opcode: MLX5_CMD_OP_DELETE_FLOW_TABLE_ENTRY, table_id: table, flow_index: 2 }));
  expect(await tried()).toEqual([false, true, false, false, true, true]);
  await net.driver.run(mlx5_flow_table_in.make({ opcode: MLX5_CMD_OP_SET_FLOW_TABLE_ROOT }));
  expect(await tried()).toEqual([false, false, false, false, false, false]);
});

test('counters count what their entries met', async () => {
  const { net, queues: [queue], bench } = await device();
  const { tir } = await net.receiver(queue);
  const counter = mlx5_flow_counter.get(await net.driver.run(mlx5_cmd_in.make({ opcode: MLX5_CMD_OP_ALLOC_FLOW_COUNTER })), 'flow_counter_id');
  const table = await net.table();
  const group = await net.group(table, 0, 7, {});
  const word = new Uint8Array(8);
  setBe32At(word, 0, counter);
  const both = { action: MLX5_FLOW_CONTEXT_ACTION_FWD_DEST | MLX5_FLOW_CONTEXT_ACTION_COUNT, flow_counter_list_size: 1 };
  await net.driver.run(net.ruleInput(table, group, 0, {}, tir, both, [mlx5_dest_format.make({ destination_type: 2, destination_id: tir }), word]));
  await net.arrive(frame(MAC, 100));
  await net.arrive(frame(MAC, 60));
  const query = async (clear = 0): Promise<bigint[]> => {
    const out = await net.driver.run(mlx5_query_flow_counter_in.make({ opcode: MLX5_CMD_OP_QUERY_FLOW_COUNTER, flow_counter_id: counter, clear }), mlx5_query_flow_counter_out.size);
    return [mlx5_query_flow_counter_out.get(out, 'packets'), mlx5_query_flow_counter_out.get(out, 'octets')];
  };
  expect([await query(1), await query()]).toEqual([[2n, 160n], [0n, 0n]]);
  const free = mlx5_cmd_in.make({ opcode: MLX5_CMD_OP_DEALLOC_FLOW_COUNTER });
  mlx5_flow_counter.set(free, 'flow_counter_id', counter);
  await net.driver.run(free);
  expect(bench.fn.subfunctions.slots[0]!.vhca.resources.flowCounters.size).toBe(0);
});

test('flows spread over a table of queues, one flow always to the same; the table can be changed meanwhile', async () => {
  const { net, rings, queues } = await device();
  const { rqt, tir } = await net.takeAll(...queues);
  const spread = async (): Promise<number[]> => {
    for (let i = 0; i < 6; i++) {
      const bytes = frame(MAC);
      bytes[11] = i;
      await net.arrive(bytes);
    }
    return rings.map((ring) => {
      const back = net.back(ring);
      for (const [token] of back) net.post(ring, token);
      return back.length;
    });
  };
  const first = await spread();
  expect([first[0]! + first[1]!, first[0]! > 0, first[1]! > 0]).toEqual([6, true, true]);
  expect(await spread()).toEqual(first);
  const modify = (...list: number[]): Uint8Array => {
    const input = mlx5_rqt_in.make({ opcode: MLX5_CMD_OP_MODIFY_RQT, rqt_actual_size: list.length }, 4 * list.length);
    mlx5_cmd_in.set(input, 'number', rqt);
    for (const [i, n] of list.entries()) setBe32At(input, mlx5_rqt_in.size + 4 * i, n);
    return input;
  };
  await net.driver.run(modify(queues[1]));
  expect(await spread()).toEqual([0, 6]);
  expect((await net.driver.exec(modify(77))).syndrome).toBe(SYNDROMES['rqt.queue']);
  expect((await net.driver.exec(modify(...Array.from({ length: 5 }, () => queues[0])))).syndrome).toBe(SYNDROMES['rqt.size']);
  expect(await spread()).toEqual([0, 6]);
  const refused = async (opcode: number, number: number): Promise<number> => (await net.driver.exec(mlx5_cmd_in.make({ opcode, number }))).status;
  expect([await refused(MLX5_CMD_OP_DESTROY_RQT, rqt), await refused(MLX5_CMD_OP_DESTROY_TIR, tir), await refused(MLX5_CMD_OP_DESTROY_RQT, rqt)]).toEqual([MLX5_CMD_STAT_RES_BUSY, 0, 0]);
  expect(await spread()).toEqual([0, 0]); // the entry leads nowhere
});

test('tables, groups and entries that cannot be are refused with a reason each', async () => {
  const { net, queues: [queue], bench } = await device();
  const { tir } = await net.receiver(queue);
  const why = async (input: Uint8Array): Promise<number> => (await net.driver.exec(input)).syndrome;
  const tableInput = (fields: object): Uint8Array => mlx5_create_flow_table_in.make({ opcode: MLX5_CMD_OP_CREATE_FLOW_TABLE, ...fields });
  expect([await why(tableInput({ table_type: 4 })), await why(tableInput({ table_type: 9 })), await why(tableInput({ log_size: 17 }))])
    .toEqual(Array(3).fill(SYNDROMES['flow.table-type']));
  expect((await bench.pf.exec(tableInput({ table_type: 4 }))).status).toBe(0); // the manager's own
  const table = await net.table();
  const group = await net.group(table, 0, 3, WHOLE);
  expect([await why(net.groupInput(table, 3, 4, {})), await why(net.groupInput(table, 6, 5, {})), await why(net.groupInput(table, 8, 16, {}))])
    .toEqual(Array(3).fill(SYNDROMES['flow.index']));
  const odd = net.groupInput(table, 4, 5, {});
  odd[mlx5_create_flow_group_in.offsetof('match_criteria')] = 1; // a bit of the source address
  expect(await why(odd)).toBe(SYNDROMES['flow.criteria']);
  expect(await why(net.groupInput(table + 1, 4, 5, {}))).toBe(SYNDROMES['object.unknown']);
  expect(await why(net.ruleInput(table, group, 4, {}, tir))).toBe(SYNDROMES['flow.index']);
  expect(await why(net.ruleInput(table, group + 1, 0, {}, tir))).toBe(SYNDROMES['object.unknown']);
  expect(await why(net.ruleInput(table, group, 0, {}, tir + 1))).toBe(SYNDROMES['object.unknown']);
  for (const fields of [{ action: 0x80 }, { destination_list_size: 2 }, { flow_counter_list_size: 1 }, { action: MLX5_FLOW_CONTEXT_ACTION_DROP }]) {
    expect(await why(net.ruleInput(table, group, 0, {}, tir, fields))).toBe(SYNDROMES['flow.action']);
  }
  expect(await why(net.ruleInput(table, group, 0, {}, tir, {}, []))).toBe(SYNDROMES['flow.action']);
  await net.driver.run(net.ruleInput(table, group, 0, {}, tir));
  const about = (opcode: number): Uint8Array => mlx5_flow_table_in.make({ opcode, table_id: table, group_id: group });
  expect([await why(about(MLX5_CMD_OP_DESTROY_FLOW_TABLE)), await why(about(MLX5_CMD_OP_DESTROY_FLOW_GROUP))]).toEqual([SYNDROMES['object.busy'], SYNDROMES['object.busy']]);
  for (const opcode of [MLX5_CMD_OP_DELETE_FLOW_TABLE_ENTRY, MLX5_CMD_OP_DESTROY_FLOW_GROUP, MLX5_CMD_OP_DESTROY_FLOW_TABLE]) {
    await net.driver.run(about(opcode));
    expect(await why(about(opcode))).toBe(SYNDROMES['object.unknown']);
  }
});

test('receive tables and resources that cannot be are refused', async () => {
  const { net, queues: [queue], key } = await device();
  const sends = await net.ready(1, key, net.ring());
  await expect(net.receiver(sends)).rejects.toThrow(`syndrome 0x${SYNDROMES['rqt.queue'].toString(16)}`);
  await expect(net.receiver()).rejects.toThrow(`syndrome 0x${SYNDROMES['rqt.size'].toString(16)}`);
  await expect(net.receiver(...Array.from({ length: 5 }, () => queue))).rejects.toThrow(`syndrome 0x${SYNDROMES['rqt.size'].toString(16)}`);
  const input = mlx5_rqt_in.make({ opcode: 0x916, list_q_type: MLX5_RQTC_LIST_Q_TYPE_VIRTIO_NET_Q + 1, rqt_max_size: 1, rqt_actual_size: 1 }, 4);
  expect((await net.driver.exec(input)).syndrome).toBe(SYNDROMES['rqt.size']);
});

test('without promiscuity only addresses of the L2 table come in from the wire, and those to groups', async () => {
  const made = await device({ promisc: false });
  const { bench, net, rings: [ring], queues: [queue] } = made;
  await net.takeAll(queue);
  const tried = async (): Promise<boolean[]> => [await arrives(made, ring, frame(MAC)), await arrives(made, ring, frame(OTHER)), await arrives(made, ring, frame(BROADCAST))];
  expect(await tried()).toEqual([false, false, true]);
  const set = (index: number, mac: readonly number[]): Uint8Array => mlx5_set_l2_table_entry_in.make({
    opcode: MLX5_CMD_OP_SET_L2_TABLE_ENTRY, table_index: index, mac_addr_47_32: (mac[0]! << 8) | mac[1]!, mac_addr_31_0: ((mac[2]! << 24) | (mac[3]! << 16) | (mac[4]! << 8) | mac[5]!) >>> 0,
  });
  const del = (index: number): Uint8Array => mlx5_delete_l2_table_entry_in.make({ opcode: MLX5_CMD_OP_DELETE_L2_TABLE_ENTRY, table_index: index });
  await bench.pf.run(set(0, MAC));
  await bench.pf.run(set(1, MAC));
  await bench.pf.run(set(2, OTHER));
  expect(await tried()).toEqual([true, true, true]);
  await bench.pf.run(del(1));
  await bench.pf.run(set(2, MAC));
  expect(await tried()).toEqual([true, false, true]);
  const why = async (input: Uint8Array, by = bench.pf): Promise<number> => (await by.exec(input)).syndrome;
  expect([await why(set(128, MAC)), await why(del(1)), await why(set(3, MAC), net.driver)]).toEqual([SYNDROMES['l2.index'], SYNDROMES['l2.index'], SYNDROMES['opcode.manager-only']]);
});
