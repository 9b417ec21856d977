import {
  MLX5_CAP_GENERAL, MLX5_CAP_VDPA_EMULATION, MLX5_CMD_OP_ALLOC_PD, MLX5_CMD_OP_ALLOC_SF, MLX5_CMD_OP_ALLOC_UAR, MLX5_CMD_OP_DEALLOC_PD, MLX5_CMD_OP_DISABLE_HCA,
  MLX5_CMD_OP_ENABLE_HCA, MLX5_CMD_OP_INIT_HCA, MLX5_CMD_OP_MANAGE_PAGES, MLX5_CMD_OP_MODIFY_NIC_VPORT_CONTEXT, MLX5_CMD_OP_QUERY_ADAPTER,
  MLX5_CMD_OP_QUERY_HCA_CAP, MLX5_CMD_OP_QUERY_ISSI, MLX5_CMD_OP_QUERY_NIC_VPORT_CONTEXT, MLX5_CMD_OP_QUERY_PAGES,
  MLX5_CMD_OP_QUERY_SPECIAL_CONTEXTS, MLX5_CMD_OP_SET_ISSI, MLX5_CMD_OP_TEARDOWN_HCA, MLX5_CMD_STAT_BAD_INP_LEN_ERR, MLX5_CMD_STAT_BAD_OP_ERR,
  MLX5_CMD_STAT_BAD_OUTP_LEN_ERR, MLX5_CMD_STAT_BAD_PARAM_ERR, MLX5_CMD_STAT_BAD_RES_ERR, MLX5_CMD_STAT_BAD_SYS_STATE_ERR, MLX5_CMD_STAT_NO_RES_ERR,
  MLX5_HCA_CAP_AT, MLX5_HCA_CAP_SIZE, MLX5_MODIFY_NIC_VPORT_CONTEXT_AT, MLX5_QUERY_NIC_VPORT_CONTEXT_AT, PCI_COMMAND, PCI_VENDOR_ID_MELLANOX, mlx5_cmd_hca_cap,
  mlx5_cmd_in, mlx5_modify_nic_vport_context_in, mlx5_nic_vport_context, mlx5_query_issi_out, mlx5_query_pages_out, mlx5_query_special_contexts_out,
  mlx5_set_issi_in, mlx5_virtio_emulation_cap, mlx5_vport_in,
} from '@vdpalab/uapi';
import { expect, test } from 'vitest';
import { Bench, connectx } from './driver.fixture.ts';
import { NULL_MKEY } from './memory-keys.ts';
import { SYNDROMES } from './refusal.ts';

const CAP_OUT = MLX5_HCA_CAP_AT + MLX5_HCA_CAP_SIZE;

test('a function says who it is and that it is ready', () => {
  const { fn, pf } = new Bench();
  expect([fn.config.read(0, 2), fn.config.read(2, 2)]).toEqual([PCI_VENDOR_ID_MELLANOX, 0x101d]);
  expect([pf.read('fw_rev'), pf.read('cmdif_rev_fw_sub') >>> 16, pf.read('initializing'), pf.read('cmdq_addr_l_sz') & 0xff]).toEqual([0x23_0016, 5, 0, 0x56]);
});

test('goes from power-on to initialised and back, and refuses what is out of order', async () => {
  const { pf } = new Bench();
  expect(await pf.exec(mlx5_cmd_in.make({ opcode: MLX5_CMD_OP_INIT_HCA }))).toMatchObject({ status: MLX5_CMD_STAT_BAD_SYS_STATE_ERR, syndrome: SYNDROMES['hca.not-enabled'] });
  await pf.head(MLX5_CMD_OP_ENABLE_HCA);
  expect((await pf.exec(mlx5_cmd_in.make({ opcode: MLX5_CMD_OP_ENABLE_HCA }))).syndrome).toBe(SYNDROMES['hca.enabled']);
  expect((await pf.exec(mlx5_cmd_in.make({ opcode: MLX5_CMD_OP_ALLOC_PD }))).syndrome).toBe(SYNDROMES['hca.not-initialised']);
  const issi = await pf.run(mlx5_cmd_in.make({ opcode: MLX5_CMD_OP_QUERY_ISSI }), mlx5_query_issi_out.size);
  expect([mlx5_query_issi_out.get(issi, 'current_issi'), mlx5_query_issi_out.get(issi, 'supported_issi_dw0')]).toEqual([0, 2]);
  expect((await pf.exec(mlx5_set_issi_in.make({ opcode: MLX5_CMD_OP_SET_ISSI, current_issi: 2 }))).status).toBe(MLX5_CMD_STAT_BAD_PARAM_ERR);
  await pf.run(mlx5_set_issi_in.make({ opcode: MLX5_CMD_OP_SET_ISSI, current_issi: 1 }));
  expect(mlx5_query_pages_out.get(await pf.run(mlx5_cmd_in.make({ opcode: MLX5_CMD_OP_QUERY_PAGES })), 'num_pages')).toBe(0);
  await pf.head(MLX5_CMD_OP_INIT_HCA);
  expect((await pf.exec(mlx5_cmd_in.make({ opcode: MLX5_CMD_OP_INIT_HCA }))).syndrome).toBe(SYNDROMES['hca.initialised']);
  await pf.head(MLX5_CMD_OP_TEARDOWN_HCA);
  await pf.head(MLX5_CMD_OP_DISABLE_HCA);
  expect((await pf.exec(mlx5_cmd_in.make({ opcode: MLX5_CMD_OP_TEARDOWN_HCA }))).syndrome).toBe(SYNDROMES['hca.not-enabled']);
});

test('has capabilities that fill several blocks, for itself and for its subfunctions', async () => {
  const { pf } = new Bench();
  await pf.start();
  const cap = async (kind: number, functionId = 0) =>
    (await pf.run(mlx5_vport_in.make({ opcode: MLX5_CMD_OP_QUERY_HCA_CAP, op_mod: (kind << 1) | 1, vport_number: functionId }), CAP_OUT)).subarray(MLX5_HCA_CAP_AT);
  const general = await cap(MLX5_CAP_GENERAL);
  const get = (bytes: Uint8Array, field: Exclude<keyof typeof mlx5_cmd_hca_cap.fields, 'general_obj_types'>) => mlx5_cmd_hca_cap.get(bytes, field);
  expect([get(general, 'sf'), get(general, 'max_num_sf'), get(general, 'sf_base_id'), get(general, 'vhca_state'), get(general, 'eswitch_manager')]).toEqual([1, 4, 0x8000, 1, 1]);
  const sub = await cap(MLX5_CAP_GENERAL, 0x8001);
  expect([get(sub, 'sf'), get(sub, 'vhca_id'), get(sub, 'eswitch_manager'), get(sub, 'log_min_sf_size')]).toEqual([0, 2, 0, 4]);
  expect(mlx5_virtio_emulation_cap.get(await cap(MLX5_CAP_VDPA_EMULATION), 'max_num_virtio_queues')).toBe(4);
  expect((await pf.exec(mlx5_cmd_in.make({ opcode: MLX5_CMD_OP_QUERY_HCA_CAP, op_mod: 0x42 }), CAP_OUT)).syndrome).toBe(SYNDROMES['hca.capability']);
  const special = await pf.run(mlx5_cmd_in.make({ opcode: MLX5_CMD_OP_QUERY_SPECIAL_CONTEXTS }), mlx5_query_special_contexts_out.size);
  expect(mlx5_query_special_contexts_out.get(special, 'null_mkey')).toBe(NULL_MKEY);
  const adapter = await pf.run(mlx5_cmd_in.make({ opcode: MLX5_CMD_OP_QUERY_ADAPTER }), 0x110);
  expect(String.fromCharCode(...adapter.subarray(0x100, 0x10d))).toBe('MT_0000000359');
});

test('refuses unknown opcodes, short input and short output with a status each', async () => {
  const { pf } = new Bench();
  await pf.start();
  expect(await pf.exec(mlx5_cmd_in.make({ opcode: MLX5_CMD_OP_MANAGE_PAGES }))).toMatchObject({ delivery: 0, status: MLX5_CMD_STAT_BAD_OP_ERR, syndrome: SYNDROMES['opcode.unknown'] });
  expect((await pf.exec(mlx5_cmd_in.make({ opcode: MLX5_CMD_OP_ALLOC_PD }).slice(0, 12))).status).toBe(MLX5_CMD_STAT_BAD_INP_LEN_ERR);
  expect((await pf.exec(mlx5_cmd_in.make({ opcode: MLX5_CMD_OP_ALLOC_PD }), 8)).status).toBe(MLX5_CMD_STAT_BAD_OUTP_LEN_ERR);
});

test('gives numbers until none is left, lowest first, and takes back only what it gave', async () => {
  const { pf } = new Bench();
  await pf.start();
  const pages: number[] = [];
  for (let i = 0; i < 11; i++) pages.push(await pf.head(MLX5_CMD_OP_ALLOC_UAR));
  expect(pages).toEqual([4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]);
  expect((await pf.exec(mlx5_cmd_in.make({ opcode: MLX5_CMD_OP_ALLOC_UAR }))).status).toBe(MLX5_CMD_STAT_NO_RES_ERR);
  const pd = await pf.pd();
  await pf.head(MLX5_CMD_OP_DEALLOC_PD, pd);
  expect((await pf.exec(mlx5_cmd_in.make({ opcode: MLX5_CMD_OP_DEALLOC_PD, number: pd }))).status).toBe(MLX5_CMD_STAT_BAD_RES_ERR);
  expect(await pf.pd()).toBe(pd);
});

test('a vport has an address and an MTU, which its function and the manager change', async () => {
  const bench = new Bench();
  await bench.pf.start();
  const query = async (vport: number) => await bench.pf.run(mlx5_vport_in.make({
    opcode: MLX5_CMD_OP_QUERY_NIC_VPORT_CONTEXT, other_vport: Number(vport !== 0), vport_number: vport,
  }), 0x110);
  const modify = async (fields: Record<string, number>, context: Record<string, number>) => {
    const input = mlx5_modify_nic_vport_context_in.make({ opcode: MLX5_CMD_OP_MODIFY_NIC_VPORT_CONTEXT, ...fields });
    input.set(mlx5_nic_vport_context.make(context), MLX5_MODIFY_NIC_VPORT_CONTEXT_AT);
    return await bench.pf.exec(input);
  };
  const mac = (out: Uint8Array) => [...out.subarray(MLX5_QUERY_NIC_VPORT_CONTEXT_AT + 0xf6, MLX5_QUERY_NIC_VPORT_CONTEXT_AT + 0xfc)];
  expect([mac(await query(0)), mac(await query(0x8002))]).toEqual([[2, 0, 0, 0, 1, 0], [2, 0, 0, 0, 1, 3]]);
  expect((await modify({ other_vport: 1, vport_number: 0x8002, select_permanent_address: 1 }, { permanent_mac_47_32: 0x0211, permanent_mac_31_0: 0x2233_4455 })).status).toBe(0);
  expect(mac(await query(0x8002))).toEqual([2, 0x11, 0x22, 0x33, 0x44, 0x55]);
  expect((await modify({ select_permanent_address: 1 }, { permanent_mac_47_32: 0x0100 })).syndrome).toBe(SYNDROMES['vport.address']);
  expect((await modify({ select_mtu: 1 }, { mtu: 9023 })).syndrome).toBe(SYNDROMES['vport.mtu']);
  expect((await modify({ select_mtu: 1 }, { mtu: 9022 })).status).toBe(0);
  expect(mlx5_nic_vport_context.get(await query(0), 'mtu', MLX5_QUERY_NIC_VPORT_CONTEXT_AT)).toBe(9022);
  expect((await modify({ other_vport: 1, vport_number: 0x8004, select_mtu: 1 }, { mtu: 1522 })).syndrome).toBe(SYNDROMES['sf.function-id']);
});

test('a device without subfunctions knows no command about them', async () => {
  const { pf } = new Bench(connectx({ without: ['sf', 'virtio-1.0', 'split'] }));
  await pf.start();
  expect((await pf.exec(mlx5_cmd_in.make({ opcode: MLX5_CMD_OP_ALLOC_SF }))).status).toBe(MLX5_CMD_STAT_BAD_OP_ERR);
  const out = await pf.run(mlx5_cmd_in.make({ opcode: MLX5_CMD_OP_QUERY_HCA_CAP }), CAP_OUT);
  expect(mlx5_cmd_hca_cap.get(out, 'max_num_sf', MLX5_HCA_CAP_AT)).toBe(0);
});

test('does nothing without bus mastering, and forgets all at a reset', async () => {
  const { fn, pf, hw } = new Bench();
  await pf.start();
  await pf.pd();
  expect(fn.vhca.resources.size).toBe(1);
  fn.reset();
  expect([fn.vhca.stage, fn.vhca.resources.size, fn.keys.size]).toEqual(['disabled', 0, 0]);
  fn.config.write(PCI_COMMAND, 2, 2);
  pf.describe(0, mlx5_cmd_in.make({ opcode: MLX5_CMD_OP_ENABLE_HCA }), 16);
  pf.write('cmd_dbell', 1);
  await hw.sched.run();
  expect(fn.vhca.commands.answered).toBe(3);
});
