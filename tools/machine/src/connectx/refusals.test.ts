import {
  MLX5_CAP_ESWITCH_FLOW_TABLE, MLX5_CMD_OP_CREATE_CQ, MLX5_CMD_OP_CREATE_EQ, MLX5_CMD_OP_CREATE_TIR, MLX5_CMD_OP_CREATE_TIS, MLX5_CMD_OP_CREATE_UCTX,
  MLX5_CMD_OP_DEALLOC_TRANSPORT_DOMAIN, MLX5_CMD_OP_DEALLOC_UAR, MLX5_CMD_OP_DESTROY_TIS, MLX5_CMD_OP_DESTROY_UCTX, MLX5_CMD_OP_MODIFY_GENERAL_OBJECT,
  MLX5_CMD_OP_MODIFY_VPORT_STATE, MLX5_CMD_OP_QUERY_HCA_CAP, MLX5_CMD_OP_QUERY_NIC_VPORT_CONTEXT, MLX5_CMD_OP_QUERY_VHCA_STATE,
  MLX5_CMD_OP_QUERY_VPORT_STATE, MLX5_EVENT_TYPE_PORT_CHANGE, MLX5_GENERAL_OBJ_AT, MLX5_HCA_CAP_AT, MLX5_HCA_CAP_SIZE, MLX5_OBJ_TYPE_VIRTIO_Q_COUNTERS,
  VPORT_STATE_DOWN, VPORT_STATE_UP, bits, mlx5_cmd_in, mlx5_create_cq_in, mlx5_create_eq_in, mlx5_create_tir_in, mlx5_create_tis_in, mlx5_eqe,
  mlx5_general_obj_in, mlx5_modify_vport_state_in, mlx5_query_vport_state_out, mlx5_uctx, mlx5_virtio_q_counters, mlx5_vport_in,
} from '@vdpalab/uapi';
import { expect, test } from 'vitest';
import { Bench } from './driver.fixture.ts';
import type { Driver } from './driver.fixture.ts';
import { SYNDROMES } from './refusal.ts';

const CAP_OUT = MLX5_HCA_CAP_AT + MLX5_HCA_CAP_SIZE;

/** A card and a subfunction of it, started. */
async function device(): Promise<{ bench: Bench; pf: Driver; sf: Driver; why: (input: Uint8Array, by?: Driver, outlen?: number) => Promise<number> }> {
  const bench = new Bench();
  await bench.pf.start();
  const sf = await (await bench.subfunction(0)).start();
  return { bench, pf: bench.pf, sf, why: async (input, by = sf, outlen = 16) => (await by.exec(input, outlen)).syndrome };
}

test('event and completion queues that cannot be are refused', async () => {
  const { why, sf, bench } = await device();
  const eq = (fields: object, pages: number): Uint8Array => mlx5_create_eq_in.make({ opcode: MLX5_CMD_OP_CREATE_EQ, log_eq_size: 6, ...fields }, 8 * pages);
  expect(await why(eq({ log_eq_size: 15 }, 512))).toBe(SYNDROMES['eq.size']);
  expect(await why(eq({ log_page_size: 1 }, 1))).toBe(SYNDROMES['eq.size']);
  expect(await why(eq({}, 0))).toBe(SYNDROMES['eq.size']);
  const far = eq({}, 1);
  far.fill(0xff, mlx5_create_eq_in.size);
  expect(await why(far)).toBe(SYNDROMES['eq.size']);
  expect(await why(eq({ intr: 16 }, 1))).toBe(SYNDROMES['eq.vector']);
  expect(await why(mlx5_create_cq_in.make({ opcode: MLX5_CMD_OP_CREATE_CQ, c_eqn: 3 }))).toBe(SYNDROMES['object.unknown']);
  await sf.eventQueue(0n);
  expect(bench.fn.subfunctions.slots[0]!.vhca.resources.eqs.size).toBe(1);
});

test('what is made goes once; what was never made does not', async () => {
  const { why, sf } = await device();
  expect(await why(mlx5_create_tis_in.make({ opcode: MLX5_CMD_OP_CREATE_TIS, transport_domain: 7 }))).toBe(SYNDROMES['object.unknown']);
  expect(await why(mlx5_create_tir_in.make({ opcode: MLX5_CMD_OP_CREATE_TIR, disp_type: 5 }))).toBe(SYNDROMES['tir.type']);
  const uctx = mlx5_uctx.get(await sf.run(mlx5_cmd_in.make({ opcode: MLX5_CMD_OP_CREATE_UCTX })), 'uid');
  const about = mlx5_cmd_in.make({ opcode: MLX5_CMD_OP_DESTROY_UCTX });
  mlx5_uctx.set(about, 'uid', uctx);
  expect([await why(about), await why(about)]).toEqual([0, SYNDROMES['object.unknown']]);
  for (const opcode of [MLX5_CMD_OP_DEALLOC_UAR, MLX5_CMD_OP_DEALLOC_TRANSPORT_DOMAIN, MLX5_CMD_OP_DESTROY_TIS]) {
    expect(await why(mlx5_cmd_in.make({ opcode, number: 9 }))).toBe(SYNDROMES['object.unknown']);
  }
  const counters = new Uint8Array(MLX5_GENERAL_OBJ_AT + mlx5_virtio_q_counters.size);
  counters.set(mlx5_general_obj_in.make({ opcode: MLX5_CMD_OP_MODIFY_GENERAL_OBJECT, obj_type: MLX5_OBJ_TYPE_VIRTIO_Q_COUNTERS }));
  expect(await why(counters)).toBe(SYNDROMES['object.type']); // counters are not set
});

test('a subfunction manages nobody, and has no vport but its own', async () => {
  const { why, sf, pf } = await device();
  expect(await why(mlx5_cmd_in.make({ opcode: MLX5_CMD_OP_QUERY_VHCA_STATE }))).toBe(SYNDROMES['opcode.manager-only']);
  const query = (fields: object): Uint8Array => mlx5_vport_in.make({ opcode: MLX5_CMD_OP_QUERY_NIC_VPORT_CONTEXT, ...fields });
  expect(await why(query({ other_vport: 1, vport_number: 0x8001 }), sf, 0x110)).toBe(SYNDROMES['vport.number']);
  expect(await why(query({ other_vport: 1, vport_number: 0x8000 }), sf, 0x110)).toBe(0);
  const cap = async (by: Driver): Promise<boolean> =>
    (await by.run(mlx5_cmd_in.make({ opcode: MLX5_CMD_OP_QUERY_HCA_CAP, op_mod: (MLX5_CAP_ESWITCH_FLOW_TABLE << 1) | 1 }), CAP_OUT)).subarray(MLX5_HCA_CAP_AT).some((byte) => byte !== 0);
  expect([await cap(sf), await cap(pf)]).toEqual([false, true]);
});

test('a vport is up while its function, and the cable, are', async () => {
  const { bench, sf } = await device();
  await sf.eventQueue(bits(MLX5_EVENT_TYPE_PORT_CHANGE));
  const state = async (): Promise<number[]> => {
    const out = await sf.run(mlx5_vport_in.make({ opcode: MLX5_CMD_OP_QUERY_VPORT_STATE }));
    return [mlx5_query_vport_state_out.get(out, 'admin_state'), mlx5_query_vport_state_out.get(out, 'state'), sf.take().map((eqe) => mlx5_eqe.get(eqe, 'type')).length];
  };
  const set = async (admin: number): Promise<Uint8Array> => await sf.run(mlx5_modify_vport_state_in.make({ opcode: MLX5_CMD_OP_MODIFY_VPORT_STATE, admin_state: admin }));
  expect(await state()).toEqual([VPORT_STATE_UP, VPORT_STATE_UP, 0]);
  await set(VPORT_STATE_DOWN);
  expect(await state()).toEqual([VPORT_STATE_DOWN, VPORT_STATE_DOWN, 1]);
  bench.fn.setLink(false);
  await set(VPORT_STATE_UP);
  expect(await state()).toEqual([VPORT_STATE_UP, VPORT_STATE_DOWN, 1]); // of the port
  bench.fn.setLink(true);
  bench.fn.setLink(true);
  expect(await state()).toEqual([VPORT_STATE_UP, VPORT_STATE_UP, 1]);
});
