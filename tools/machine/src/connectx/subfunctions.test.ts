import {
  MLX5_CMD_OP_ALLOC_PD, MLX5_CMD_OP_ALLOC_SF, MLX5_CMD_OP_DEALLOC_SF, MLX5_CMD_OP_DISABLE_HCA, MLX5_CMD_OP_ENABLE_HCA, MLX5_CMD_OP_INIT_HCA,
  MLX5_CMD_OP_MODIFY_VHCA_STATE, MLX5_CMD_OP_QUERY_VHCA_STATE, MLX5_CMD_OP_TEARDOWN_HCA, MLX5_CMD_STAT_BAD_OP_ERR, MLX5_CMD_STAT_BAD_PARAM_ERR,
  MLX5_CMD_STAT_BAD_RES_STATE_ERR, MLX5_EVENT_TYPE_CMD, MLX5_EVENT_TYPE_PORT_CHANGE, MLX5_EVENT_TYPE_VHCA_STATE_CHANGE,
  MLX5_PORT_CHANGE_SUBTYPE_ACTIVE, MLX5_PORT_CHANGE_SUBTYPE_DOWN, MLX5_VHCA_STATE_ACTIVE, MLX5_VHCA_STATE_ALLOCATED, MLX5_VHCA_STATE_IN_USE,
  MLX5_VHCA_STATE_INVALID, MLX5_VHCA_STATE_TEARDOWN_REQUEST, bits, mlx5_eqe, mlx5_eqe_vhca_state, mlx5_function_in,
  mlx5_modify_vhca_state_in, mlx5_query_vhca_state_out,
} from '@vdpalab/uapi';
import { expect, test } from 'vitest';
import { Bench } from './driver.fixture.ts';

const ID = 0x8000;

async function state({ pf }: Bench, functionId = ID): Promise<number> {
  const out = await pf.run(mlx5_function_in.make({ opcode: MLX5_CMD_OP_QUERY_VHCA_STATE, function_id: functionId }), mlx5_query_vhca_state_out.size);
  return mlx5_query_vhca_state_out.get(out, 'vhca_state');
}

async function about({ pf }: Bench, opcode: number, functionId = ID): Promise<number> {
  return (await pf.exec(mlx5_function_in.make({ opcode, function_id: functionId }))).status;
}

test('a subfunction is allocated, active, in use, asked to stop, allocated and gone', async () => {
  const bench = new Bench();
  await bench.pf.start();
  expect(await state(bench)).toBe(MLX5_VHCA_STATE_INVALID);
  expect(await about(bench, MLX5_CMD_OP_ENABLE_HCA)).toBe(MLX5_CMD_STAT_BAD_RES_STATE_ERR);
  const sf = await bench.subfunction(0);
  expect(await state(bench)).toBe(MLX5_VHCA_STATE_ACTIVE);
  expect(await about(bench, MLX5_CMD_OP_ALLOC_SF)).toBe(MLX5_CMD_STAT_BAD_RES_STATE_ERR);
  expect(await about(bench, MLX5_CMD_OP_DEALLOC_SF)).toBe(MLX5_CMD_STAT_BAD_RES_STATE_ERR);
  await sf.start();
  expect(await state(bench)).toBe(MLX5_VHCA_STATE_IN_USE);
  await sf.pd();
  await sf.head(MLX5_CMD_OP_TEARDOWN_HCA);
  expect(await state(bench)).toBe(MLX5_VHCA_STATE_ACTIVE);
  await sf.head(MLX5_CMD_OP_INIT_HCA);
  expect(await about(bench, MLX5_CMD_OP_DISABLE_HCA)).toBe(0);
  expect(await state(bench)).toBe(MLX5_VHCA_STATE_TEARDOWN_REQUEST);
  await sf.head(MLX5_CMD_OP_TEARDOWN_HCA);
  expect(await state(bench)).toBe(MLX5_VHCA_STATE_TEARDOWN_REQUEST);
  await sf.head(MLX5_CMD_OP_DISABLE_HCA);
  expect(await state(bench)).toBe(MLX5_VHCA_STATE_ALLOCATED);
  expect(await about(bench, MLX5_CMD_OP_DEALLOC_SF)).toBe(0);
  expect(await state(bench)).toBe(MLX5_VHCA_STATE_INVALID);
  expect(await about(bench, MLX5_CMD_OP_ALLOC_SF, ID + 4)).toBe(MLX5_CMD_STAT_BAD_PARAM_ERR);
});

test('disabling an active one stops it at once', async () => {
  const bench = new Bench();
  await bench.pf.start();
  await bench.subfunction(0);
  expect(await about(bench, MLX5_CMD_OP_DISABLE_HCA)).toBe(0);
  expect(await state(bench)).toBe(MLX5_VHCA_STATE_ALLOCATED);
  expect(await about(bench, MLX5_CMD_OP_DISABLE_HCA)).toBe(MLX5_CMD_STAT_BAD_RES_STATE_ERR);
});

test('its window answers only while it is active', async () => {
  const bench = new Bench();
  await bench.pf.start();
  expect(bench.fn.readBar(2, 0, 4)).toBe(0xffff_ffff);
  const sf = await bench.subfunction(0);
  expect(sf.read('cmdif_rev_fw_sub') >>> 16).toBe(5);
  expect(bench.fn.readBar(2, 0x1_0000, 2)).toBe(0xffff);
  await about(bench, MLX5_CMD_OP_DISABLE_HCA);
  expect(bench.fn.readBar(2, 0, 4)).toBe(0xffff_ffff);
  bench.fn.writeBar(2, 0x18, 4, 1);
  expect(sf.read('cmdq_addr_l_sz')).toBe(0xffff_ffff);
});

test('it may not manage others', async () => {
  const bench = new Bench();
  await bench.pf.start();
  const sf = await (await bench.subfunction(0)).start();
  for (const opcode of [MLX5_CMD_OP_ALLOC_SF, MLX5_CMD_OP_QUERY_VHCA_STATE, MLX5_CMD_OP_ENABLE_HCA]) {
    expect((await sf.exec(mlx5_function_in.make({ opcode, function_id: ID + 1 }), 64)).status).toBe(MLX5_CMD_STAT_BAD_OP_ERR);
  }
  expect(await sf.pd()).toBe(1);
  expect(await bench.pf.pd()).toBe(1); // each has its own
});

test('a change of state is an event once it was asked for', async () => {
  const bench = new Bench();
  const { pf } = bench;
  await pf.start();
  const { eqn, uar } = await pf.eventQueue(bits(MLX5_EVENT_TYPE_VHCA_STATE_CHANGE), 3);
  pf.consume(uar, eqn, 0);
  const arm = mlx5_modify_vhca_state_in.make({
    opcode: MLX5_CMD_OP_MODIFY_VHCA_STATE, function_id: ID, select_arm_change_event: 1, arm_change_event: 1, select_sw_function_id: 1, sw_function_id: 77,
  });
  await pf.run(arm);
  await bench.subfunction(0);
  const events = pf.take();
  expect(events.map((eqe) => [mlx5_eqe.get(eqe, 'type'), mlx5_eqe_vhca_state.get(eqe, 'function_id', 32)])).toEqual([[MLX5_EVENT_TYPE_VHCA_STATE_CHANGE, ID]]);
  await pf.run(arm);
  await about(bench, MLX5_CMD_OP_DISABLE_HCA);
  expect(pf.take()).toHaveLength(1);
});

test('an event interrupts once for each arming, at once when it is there already', async () => {
  const bench = new Bench();
  const { pf, fn } = bench;
  await pf.start();
  const { eqn, uar } = await pf.eventQueue(bits(MLX5_EVENT_TYPE_CMD), 3);
  bench.msixOn();
  await pf.head(MLX5_CMD_OP_ALLOC_PD);
  expect([pf.take().length, bench.vectors()]).toEqual([1, []]);
  pf.consume(uar, eqn, 0);
  expect(bench.vectors()).toEqual([3]);
  const { lost } = fn.vhca.resources.eqs.get(eqn);
  expect(lost).toBe(0);
  for (let i = 0; i < 70; i++) await pf.head(MLX5_CMD_OP_ALLOC_PD);
  expect(fn.vhca.resources.eqs.get(eqn).lost).toBe(7); // 1 and 70 events for 64 entries
});

test('the link comes and goes for every function that listens', async () => {
  const bench = new Bench();
  await bench.pf.start();
  const sf = await (await bench.subfunction(0)).start();
  await sf.eventQueue(bits(MLX5_EVENT_TYPE_PORT_CHANGE));
  bench.fn.setLink(false);
  bench.fn.setLink(false);
  bench.fn.setLink(true);
  expect(sf.take().map((eqe) => mlx5_eqe.get(eqe, 'sub_type'))).toEqual([MLX5_PORT_CHANGE_SUBTYPE_DOWN, MLX5_PORT_CHANGE_SUBTYPE_ACTIVE]);
});

test('a reset of the physical function takes its subfunctions with it', async () => {
  const bench = new Bench();
  await bench.pf.start();
  await (await bench.subfunction(1)).start();
  const ports = () => [...bench.system.networks.get('lan')!.ports].length;
  expect(ports()).toBe(2);
  bench.fn.reset();
  expect([ports(), bench.fn.subfunctions.slots[1]!.state, bench.fn.subfunctions.slots[1]!.vhca.stage]).toEqual([0, MLX5_VHCA_STATE_INVALID, 'disabled']);
});
