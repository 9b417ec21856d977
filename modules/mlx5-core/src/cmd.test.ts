import { errnoOf } from '@vdpalab/testing';
import * as uapi from '@vdpalab/uapi';
import { describe, expect, it } from 'vitest';
import { commandName, cmdStatus, deliveryStatus, succeedsWithoutDevice } from './cmd-status.ts';
import { BDF, bootMlx5 } from './testing/bench.ts';

const head = (opcode: number, number = 0): Uint8Array => uapi.mlx5_cmd_in.make({ opcode, number });

describe('a command', () => {
  it('that the firmware refuses has the errno of its status, and is logged with its syndrome', async () => {
    const b = await bootMlx5();
    b.dmesg();
    const { cmd } = b.dev();
    const run = (input: Uint8Array, outlen = 16): Promise<string> => b.run(() => errnoOf(() => cmd.exec(input, outlen)));
    expect(await run(head(uapi.MLX5_CMD_OP_DEALLOC_PD, 77))).toBe('EINVAL');
    expect(b.dmesg()).toEqual([expect.stringMatching(new RegExp(`^mlx5_core ${BDF}: DEALLOC_PD\\(0x801\\) op_mod\\(0x0\\) failed, status bad resource\\(0x5\\), syndrome \\(0x[0-9a-f]+\\), err\\(-22\\)$`))]);
    expect([await run(head(0x999)), await run(head(uapi.MLX5_CMD_OP_INIT_HCA)), await run(head(uapi.MLX5_CMD_OP_ALLOC_PD), 4)]).toEqual(['EINVAL', expect.any(String), 'EIO']);
    expect(b.dmesg()[0]).toContain('unknown command opcode(0x999) op_mod(0x0) failed, status bad operation(0x2)');
  });

  it('is not logged where others see the answer: with a user\'s identity, and for keys that are destroyed', async () => {
    const b = await bootMlx5();
    b.dmesg();
    const { cmd } = b.dev();
    const withUid = head(uapi.MLX5_CMD_OP_DEALLOC_PD, 77);
    uapi.mlx5_cmd_in.set(withUid, 'uid', 3);
    for (const input of [withUid, head(uapi.MLX5_CMD_OP_DESTROY_MKEY, 0x1234)]) expect(await b.run(() => errnoOf(() => cmd.exec(input, 16)))).toBe('EINVAL');
    expect(b.dmesg()).toEqual([]);
  });

  it('of more than its entry holds goes through mailboxes, in both directions and many at once', async () => {
    const b = await bootMlx5();
    const { cmd } = b.dev();
    const input = uapi.mlx5_function_in.make({ opcode: uapi.MLX5_CMD_OP_QUERY_HCA_CAP, op_mod: 1 });
    const outs: Uint8Array[] = [];
    for (let n = 0; n < 40; n++) b.spawn(`command ${n}`, async () => void outs.push(await cmd.exec(input, uapi.MLX5_HCA_CAP_AT + uapi.MLX5_HCA_CAP_SIZE)));
    await b.settle();
    expect(outs).toHaveLength(40); // more than the queue has entries
    for (const out of outs) expect(uapi.mlx5_cmd_hca_cap.get(out.subarray(uapi.MLX5_HCA_CAP_AT), 'sf_base_id')).toBe(0x8000);
    const list = new Uint8Array(3000);
    list.set(head(uapi.MLX5_CMD_OP_ALLOC_PD));
    expect(uapi.mlx5_cmd_out.get(await b.run(() => cmd.exec(list, 16)), 'status')).toBe(0);
  });

  it('that is not answered is given up after a minute; its memory stays until it is', async () => {
    const b = await bootMlx5();
    b.dmesg();
    const pdev = b.k.pci_devices().find(({ dev }) => dev.name === BDF)!;
    const { cmd } = b.dev();
    b.k.pci_clear_master(pdev); // it reads no command any more
    expect(await b.run(() => errnoOf(() => cmd.exec(head(uapi.MLX5_CMD_OP_ALLOC_PD), 2000)))).toBe('ETIMEDOUT');
    expect(b.dmesg()).toEqual([`mlx5_core ${BDF}: ALLOC_PD(0x800) timeout. Will cause a leak of a command resource`]);
    b.k.pci_set_master(pdev);
    expect(await b.run(() => errnoOf(() => cmd.exec(head(uapi.MLX5_CMD_OP_ALLOC_PD), 16)))).toBe('ok');
    cmd.complete(1); // the first entry, after all
    expect(b.dmesg()).toEqual([`mlx5_core ${BDF}: Command completion arrived after timeout (entry idx = 0).`]);
    await b.run(() => b.rmmod('mlx5_core'));
    expect(b.leftovers()).toEqual([]);
  });

  it('is not given to a device that is gone: what destroys succeeds, the rest fails at once', async () => {
    const b = await bootMlx5();
    b.dmesg();
    const pdev = b.k.pci_devices().find(({ dev }) => dev.name === BDF)!;
    const { cmd } = b.dev();
    const pd = uapi.mlx5_cmd_out.get(await b.run(() => cmd.exec(head(uapi.MLX5_CMD_OP_ALLOC_PD), 16)), 'number');
    b.k.pci_write_config_word(pdev, uapi.PCI_COMMAND, 0); // neither registers nor DMA
    expect(await b.run(() => errnoOf(() => cmd.exec(head(uapi.MLX5_CMD_OP_ALLOC_PD), 16)))).toBe('ETIMEDOUT');
    expect(b.dmesg().at(-1)).toBe(`mlx5_core ${BDF}: Fatal error 1 detected`);
    const now = b.machine.sched.now;
    expect(await b.run(() => errnoOf(() => cmd.exec(head(uapi.MLX5_CMD_OP_ALLOC_PD), 16)))).toBe('ENXIO');
    expect(await b.run(() => errnoOf(() => cmd.exec(head(uapi.MLX5_CMD_OP_DEALLOC_PD, pd), 16)))).toBe('ok');
    expect(b.machine.sched.now - now).toBeLessThan(1e9);
    await b.run(() => b.rmmod('mlx5_core'));
    expect([b.bound(), b.leftovers()]).toEqual([false, []]);
  });
});

describe('answers of the firmware', () => {
  it('have Linux\'s words and errnos', () => {
    expect([3, 6, 8, 9, 0xf, 0x50, 0x77].map((status) => cmdStatus(status).join())).toEqual([
      'bad parameter,EINVAL', 'resource busy,EBUSY', 'limits exceeded,ENOMEM', 'bad resource state,EINVAL', 'no resources,EAGAIN', 'bad input length,EIO', 'unknown status,EIO',
    ]);
    expect([0, 2, 5, 0x10, 0x55].map((status) => deliveryStatus(status)?.join() ?? null)).toEqual([
      null, 'token error,EINVAL', 'input pointer not aligned to block size,EFAULT', 'bad command descriptor type,EIO', 'unknown status code,EINVAL',
    ]);
    expect([commandName(0x113), commandName(0xfff)]).toEqual(['ALLOC_SF', 'unknown command opcode']);
    expect(['TEARDOWN_HCA', 'DEALLOC_SF', 'DESTROY_EQ', 'ALLOC_PD', 'QUERY_VHCA_STATE'].map((name) => succeedsWithoutDevice((uapi as unknown as Record<string, number>)[`MLX5_CMD_OP_${name}`]!)))
      .toEqual([true, true, true, false, false]);
  });
});
