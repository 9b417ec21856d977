/** vhost without vhost-vdpa: a device whose queues have a backend, as vhost-net's would. */
import { anonymous, answerOf, bootBuiltins, covers } from '@vdpalab/testing';
import type { BootedKernel, TestProcess } from '@vdpalab/testing';
import * as uapi from '@vdpalab/uapi';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { VhostDev, VhostVirtqueue } from './header.ts';

const BELOW = ['sched', 'mm', 'fs', 'vhost-iotlb', 'vhost'];
const PAGE = 4096;

/** A device of two queues with an owner, in a process with some memory. */
interface Session {
  readonly k: BootedKernel['k'];
  readonly proc: TestProcess;
  readonly dev: VhostDev;
  readonly vq: VhostVirtqueue;
  /** Where arguments are laid. */
  readonly at: number;
  /** An ioctl of the device, then of its queues. @returns 0, or the errno */
  readonly ioctl: (cmd: number, bytes: Uint8Array) => Promise<number | string>;
}

async function session(body: (s: Session) => Promise<void>): Promise<void> {
  const kernel = await bootBuiltins(BELOW);
  const { k } = kernel;
  await kernel.user(async (proc) => {
    const dev = k.vhost_dev_init({ nvqs: 2, handle_kick: () => undefined, msg_handler: async () => undefined });
    k.vhost_dev_set_owner(dev, proc);
    const at = await anonymous(k, proc, PAGE);
    const [vq] = dev.vqs;
    if (vq === undefined) throw new Error('no queue');
    await body({
      k, proc, dev, vq, at,
      ioctl: (cmd, bytes) => answerOf(async () => {
        proc.mm.write(at, bytes);
        if (!(await k.vhost_dev_ioctl(dev, cmd, at, proc))) await k.vhost_vring_ioctl(dev, cmd, at, proc);
      }),
    });
    k.vhost_dev_cleanup(dev);
  });
  expect(kernel.leftovers()).toEqual([]);
}

const u64 = (n: bigint): Uint8Array => {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, n, true);
  return bytes;
};

/** A memory table: guest address, bytes, user address of each region. */
function table(...regions: readonly (readonly [bigint, bigint, bigint])[]): Uint8Array {
  return Uint8Array.from([
    ...uapi.vhost_memory.encode({ nregions: regions.length, padding: 0 }),
    ...regions.flatMap(([guest_phys_addr, memory_size, userspace_addr]) =>
      [...uapi.vhost_memory_region.encode({ guest_phys_addr, memory_size, userspace_addr, flags_padding: 0n })]),
  ]);
}

test('a queue that a backend works on keeps its size and base, and rings must lie in user space', async () => {
  covers('2.4.24');
  await session(async ({ vq, ioctl }) => {
    const state = (num: number) => uapi.vhost_vring_state.encode({ index: 0, num });
    const addr = (used: bigint, flags = 0) => uapi.vhost_vring_addr.encode({ index: 0, flags, desc_user_addr: 0x1000n, avail_user_addr: 0x2000n, used_user_addr: used });
    expect([await ioctl(uapi.VHOST_SET_VRING_NUM, state(64)), await ioctl(uapi.VHOST_SET_VRING_BASE, state(1))]).toEqual([0, 0]);
    expect(await ioctl(uapi.VHOST_SET_VRING_NUM, uapi.vhost_vring_state.encode({ index: 2, num: 64 }))).toBe('ENOBUFS');
    for (const num of [0, 3, 65_536]) expect(await ioctl(uapi.VHOST_SET_VRING_NUM, state(num))).toBe('EINVAL');
    expect(await ioctl(uapi.VHOST_SET_VRING_ADDR, addr(0x7fff_ffff_f000n))).toBe(0); // looked at when a backend comes
    vq.private_data = 'a backend';
    expect([await ioctl(uapi.VHOST_SET_VRING_NUM, state(128)), await ioctl(uapi.VHOST_SET_VRING_BASE, state(2))]).toEqual(['EBUSY', 'EBUSY']);
    expect([vq.num, vq.last_avail_idx]).toEqual([64, 1]);
    expect(await ioctl(uapi.VHOST_SET_VRING_ADDR, addr(0x7fff_ffff_f000n))).toBe('EINVAL');
    expect(await ioctl(uapi.VHOST_SET_VRING_ADDR, addr(0x3000n))).toBe(0);
    expect(await ioctl(uapi.VHOST_SET_LOG_BASE, u64(0x7fff_ffff_f000n))).toBe('EFAULT'); // there is no memory table yet
    vq.log_base = 0x7fff_ffff_f000n;
    expect(await ioctl(uapi.VHOST_SET_VRING_ADDR, addr(0x3000n, 1 << uapi.VHOST_VRING_F_LOG))).toBe('EINVAL');
  });
});

test('a memory table is checked as a whole; its regions are while a backend works', async () => {
  covers('2.6.1');
  await session(async ({ dev, vq, ioctl, k, proc }) => {
    const set = (bytes: Uint8Array) => ioctl(uapi.VHOST_SET_MEM_TABLE, bytes);
    const beyond = table([0n, 0x1000n, 0x5000n], [0x10_0000n, 0x2000n, 0x7fff_ffff_e000n + 0x1000n]);
    expect(await set(beyond)).toBe(0);
    expect(await set(uapi.vhost_memory.encode({ nregions: 0, padding: 1 }))).toBe('EOPNOTSUPP');
    expect(await set(uapi.vhost_memory.encode({ nregions: 65, padding: 0 }))).toBe('E2BIG');
    vq.private_data = 'a backend';
    expect(await set(beyond)).toBe('EFAULT');
    expect(await set(table([0n, 0x1000n, 0x5000n], [0x10_0000n, 0x1000n, 0x7fff_ffff_e000n]))).toBe(0);
    vq.acked_features = 1n << BigInt(uapi.VHOST_F_LOG_ALL);
    vq.log_base = 0x7fff_ffff_efffn; // room for one byte of bits
    expect(await set(table([0n, 0x8000n, 0x5000n]))).toBe(0);
    expect(await set(table([0n, 0x9000n, 0x5000n]))).toBe('EFAULT');
    expect(await answerOf(async () => void await k.vhost_dev_ioctl(dev, uapi.VHOST_SET_MEM_TABLE, 0x10, proc))).toBe('EFAULT');
  });
});

test('every page that is written gets its bit, no other does, and the log eventfd is signalled', async () => {
  covers('2.6.2');
  const range = fc.tuple(fc.nat(40 * PAGE), fc.integer({ min: 1, max: 3 * PAGE }));
  await fc.assert(fc.asyncProperty(fc.array(range, { minLength: 1, maxLength: 6 }), fc.boolean(), async (ranges, byHva) => {
    await session(async ({ dev, vq, ioctl, k, proc }) => {
      const log = await anonymous(k, proc, PAGE);
      const fd = k.ksys_eventfd(proc, 0, uapi.EFD_NONBLOCK);
      expect(await ioctl(uapi.VHOST_SET_LOG_BASE, u64(BigInt(log)))).toBe(0);
      expect(await ioctl(uapi.VHOST_SET_LOG_FD, uapi.vhost_vring_file.encode({ index: fd }))).toBe(0);
      expect(await ioctl(uapi.VHOST_SET_MEM_TABLE, table([0n, BigInt(50 * PAGE), 0x10_0000n]))).toBe(0);
      const total = ranges.reduce((sum, [, len]) => sum + len, 0);
      if (byHva) dev.iotlb = k.vhost_iotlb_alloc(0, 0);
      const iov = ranges.map(([addr, len]) => ({ base: 0x10_0000n + BigInt(addr), len }));
      k.vhost_log_write(vq, ranges.map(([addr, len]) => ({ addr: BigInt(addr), len })), total, iov);

      const dirty = new Set<number>();
      for (const [addr, len] of ranges) for (let at = addr; at < addr + len; at++) dirty.add(Math.floor(at / PAGE));
      const bits = proc.mm.read(log, PAGE);
      const set = [...bits].flatMap((byte, i) => Array.from({ length: 8 }, (_, bit) => ((byte >> bit) & 1) === 1 ? [8 * i + bit] : []).flat());
      expect(set).toEqual([...dirty].sort((a, b) => a - b));
      const ctx = k.eventfd_ctx_fdget(proc, fd);
      expect(ctx.count).toBe(byHva ? 0n : 1n);
      k.eventfd_ctx_put(ctx);
    });
  }), { numRuns: 25 });
});

test('a log that is not there, an address the table lacks, another descriptor: EFAULT, EFAULT, EBADF and EINVAL', async () => {
  await session(async ({ dev, vq, ioctl, k, proc, at }) => {
    const write = (addr: bigint, len: number) => answerOf(async () => void k.vhost_log_write(vq, [{ addr, len }], len, [{ base: addr, len }]));
    vq.log_base = 0x10n;
    expect(await write(0n, 1)).toBe('EFAULT');
    vq.log_base = (1n << 64n) - 1n;
    expect(await write(1n << 20n, 1)).toBe('EFAULT'); // beyond the end of the address space
    vq.log_base = BigInt(at);
    expect(await write(0n, 0)).toBe(0);
    expect(() => k.vhost_log_write(vq, [{ addr: 0n, len: 4 }], 5, [])).toThrow('beyond the chain');
    expect(await ioctl(uapi.VHOST_SET_MEM_TABLE, table([0n, 0x1000n, 0x5000n]))).toBe(0);
    dev.iotlb = k.vhost_iotlb_alloc(0, 0);
    expect(await write(0x9000n, 1)).toBe('EFAULT');
    const file = (fd: number) => uapi.vhost_vring_file.encode({ index: fd });
    const pipe = k.ksys_pipe(proc)[0];
    expect([await ioctl(uapi.VHOST_SET_LOG_FD, file(999)), await ioctl(uapi.VHOST_SET_LOG_FD, file(pipe)), await ioctl(uapi.VHOST_SET_LOG_FD, file(-1))])
      .toEqual(['EBADF', 'EINVAL', 0]);
  });
});
