import {
  MLX5_CAP_GENERAL, MLX5_CMD_DELIVERY_STAT_BAD_BLK_NUM_ERR, MLX5_CMD_DELIVERY_STAT_CMD_DESCR_ERR, MLX5_CMD_DELIVERY_STAT_IN_LENGTH_ERR,
  MLX5_CMD_DELIVERY_STAT_IN_PTR_ALIGN_ERR, MLX5_CMD_DELIVERY_STAT_OUT_LENGTH_ERR, MLX5_CMD_DELIVERY_STAT_OUT_PTR_ALIGN_ERR,
  MLX5_CMD_DELIVERY_STAT_TOK_ERR, MLX5_CMD_OP_ALLOC_PD, MLX5_CMD_OP_QUERY_HCA_CAP, MLX5_HCA_CAP_AT, MLX5_HCA_CAP_SIZE, mlx5_cmd_in, mlx5_cmd_layout,
  mlx5_cmd_prot_block, mlx5_vport_in,
} from '@vdpalab/uapi';
import { expect, test } from 'vitest';
import { Bench } from './driver.fixture.ts';
import { createKey, keyInput } from './virtio.fixture.ts';

const CAP_OUT = MLX5_HCA_CAP_AT + MLX5_HCA_CAP_SIZE;
const NOWHERE = 0x7000_0000n;

/** A started function and its command queue's first entry, which a test spoils after it was described. */
async function bench() {
  const { pf, hw, ...rest } = new Bench();
  await pf.start();
  return { pf, hw, ...rest };
}

/** What becomes of a command of several blocks that was spoilt. @param which its input or its output is the long one */
async function spoilt(which: 'in' | 'out', spoil: (entry: Uint8Array, block: Uint8Array) => void): Promise<number> {
  const { pf } = await bench();
  const pd = await pf.pd();
  const input = which === 'in' ? keyInput.pages(pd, 0, 0x10_0000, 12, Array.from({ length: 256 }, (_, i) => i * 4096))
    : mlx5_vport_in.make({ opcode: MLX5_CMD_OP_QUERY_HCA_CAP, op_mod: MLX5_CAP_GENERAL << 1 });
  const outlen = which === 'in' ? 16 : CAP_OUT;
  const outBlocks = pf.describe(0, input, outlen);
  spoil(pf.entry(0), pf.block(which === 'in' ? 1 : 33));
  const { delivery } = await pf.ring(0, outBlocks, outlen);
  expect(await pf.pd()).toBe(pd + 1); // the next one is fine
  expect(pf.bench.fn.keys.size).toBe(0);
  return delivery >>> 1;
}

test('a chain of blocks that is not as it must be is answered with a delivery status, and nothing is done', async () => {
  const setBlock = (field: 'token' | 'block_num' | 'next', value: number | bigint) => (_: Uint8Array, block: Uint8Array) => void mlx5_cmd_prot_block.set(block, field as 'token', value as number);
  const setEntry = (field: 'in_ptr' | 'out_ptr', value: bigint) => (entry: Uint8Array) => void mlx5_cmd_layout.set(entry, field, value);
  expect(await spoilt('in', setBlock('token', 8))).toBe(MLX5_CMD_DELIVERY_STAT_TOK_ERR);
  expect(await spoilt('out', setBlock('token', 8))).toBe(MLX5_CMD_DELIVERY_STAT_TOK_ERR);
  expect(await spoilt('in', setBlock('block_num', 0))).toBe(MLX5_CMD_DELIVERY_STAT_BAD_BLK_NUM_ERR);
  expect(await spoilt('in', setBlock('next', 0n))).toBe(MLX5_CMD_DELIVERY_STAT_IN_PTR_ALIGN_ERR);
  expect(await spoilt('in', setBlock('next', NOWHERE))).toBe(MLX5_CMD_DELIVERY_STAT_CMD_DESCR_ERR);
  expect(await spoilt('in', setEntry('in_ptr', 0x10_0040n))).toBe(MLX5_CMD_DELIVERY_STAT_IN_PTR_ALIGN_ERR);
  expect(await spoilt('in', setEntry('in_ptr', (1n << 63n)))).toBe(MLX5_CMD_DELIVERY_STAT_IN_PTR_ALIGN_ERR);
  expect(await spoilt('out', setEntry('out_ptr', 0x10_0040n))).toBe(MLX5_CMD_DELIVERY_STAT_OUT_PTR_ALIGN_ERR);
  expect(await spoilt('out', setEntry('out_ptr', NOWHERE))).toBe(MLX5_CMD_DELIVERY_STAT_CMD_DESCR_ERR);
});

test('a chain that goes round is read as far as its length says, no further', async () => {
  expect(await spoilt('in', (_, block) => void mlx5_cmd_prot_block.set(block, 'next', BigInt(0)))).toBe(MLX5_CMD_DELIVERY_STAT_IN_PTR_ALIGN_ERR);
  const { pf } = await bench();
  const input = keyInput.pages(await pf.pd(), 0, 0x10_0000, 12, Array.from({ length: 256 }, (_, i) => i * 4096));
  pf.describe(0, input, 16);
  const first = mlx5_cmd_layout.get(pf.entry(0), 'in_ptr');
  mlx5_cmd_prot_block.set(pf.block(0), 'next', first);
  expect((await pf.ring(0, 0, 16)).delivery >>> 1).toBe(MLX5_CMD_DELIVERY_STAT_BAD_BLK_NUM_ERR);
});

test('an entry that describes no command is answered', async () => {
  const { pf } = await bench();
  const input = mlx5_cmd_in.make({ opcode: MLX5_CMD_OP_ALLOC_PD });
  const answer = async (fields: object, outlen = 16): Promise<number> => (await pf.ring(0, pf.describe(0, input, outlen, fields), 16)).delivery >>> 1;
  expect([await answer({ type: 3 }), await answer({ inlen: 4 }), await answer({ inlen: 5 << 20 }), await answer({}, 0), await answer({}, 16)]).toEqual([
    MLX5_CMD_DELIVERY_STAT_CMD_DESCR_ERR, MLX5_CMD_DELIVERY_STAT_IN_LENGTH_ERR, MLX5_CMD_DELIVERY_STAT_IN_LENGTH_ERR, MLX5_CMD_DELIVERY_STAT_OUT_LENGTH_ERR, 0,
  ]);
});

test('a doorbell for an entry that software still owns does nothing; a queue out of reach is counted', async () => {
  const { pf, fn, hw } = await bench();
  const { commands } = fn.vhca;
  const before = commands.answered;
  pf.write('cmd_dbell', 1 << 5);
  await hw.sched.run();
  expect([commands.answered - before, commands.lost]).toEqual([0, 0]);
  pf.write('cmdq_addr_l_sz', Number(NOWHERE));
  pf.write('cmd_dbell', 0xffff_ffff);
  await hw.sched.run();
  expect([commands.answered - before, commands.lost]).toEqual([0, 32]);
});

test('all entries of the queue at once', async () => {
  const { pf, fn, hw } = await bench();
  for (let n = 0; n < 32; n++) pf.describe(n, mlx5_cmd_in.make({ opcode: MLX5_CMD_OP_ALLOC_PD }), 16);
  pf.write('cmd_dbell', 0xffff_ffff);
  await hw.sched.run();
  expect(fn.vhca.resources.pds.size).toBe(32);
});

test('no random entry makes the device fail, or keeps the next command from being carried out', async () => {
  const { pf, hw } = await bench();
  let x = 12345;
  const random = (): number => (x = Math.imul(x, 1103515245) + 12345 >>> 0) >>> 8;
  for (let round = 0; round < 300; round++) {
    const size = [16, 64, 272, 784][round % 4]!;
    const input = Uint8Array.from({ length: size }, () => random());
    // Half of them with an opcode there is.
    if (round % 2 === 0) mlx5_cmd_in.set(input, 'opcode', [0x100, 0x200, 0x301, 0x400, 0x802, 0x821, 0x829, 0x900, 0x916, 0x917, 0x930, 0x932, 0x933, 0x936, 0xa00, 0xa01][(round / 2) % 16]!);
    pf.describe(0, input, 16 + (random() & 0x3ff));
    const entry = pf.entry(0);
    if (round % 5 === 0) entry[random() % 63] = random();
    entry[63] = entry[63]! | 1;
    pf.write('cmd_dbell', 1);
    await hw.sched.run();
  }
  const { delivery } = await pf.exec(mlx5_cmd_in.make({ opcode: MLX5_CMD_OP_ALLOC_PD }));
  expect(delivery).toBe(0);
  expect(await createKey(pf, keyInput.all(await pf.pd()))).toBeGreaterThan(0);
});
