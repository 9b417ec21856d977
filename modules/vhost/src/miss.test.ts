/** Devices whose mappings vhost keeps: misses, and chains off a ring in user space. */
import { anonymous, answerOf, bootBuiltins, covers } from '@vdpalab/testing';
import type { BootedKernel, TestProcess } from '@vdpalab/testing';
import * as uapi from '@vdpalab/uapi';
import { expect, test } from 'vitest';
import type { VhostChain, VhostDev, VhostVirtqueue } from './header.ts';

const BELOW = ['sched', 'mm', 'fs', 'vhost-iotlb', 'vhost'];
const PAGE = 4096n;
const NUM = 8;
/** Where the guest has its ring, and what else there is of its memory. */
const [DESC, AVAIL, USED, DATA] = [0x1000n, 0x2000n, 0x3000n, 0x8000n];

interface Session {
  readonly kernel: BootedKernel;
  readonly k: BootedKernel['k'];
  readonly proc: TestProcess;
  readonly dev: VhostDev;
  readonly vq: VhostVirtqueue;
  /** Kicks of the queue so far. */
  readonly kicks: () => number;
  /** Sixteen pages of the process. */
  readonly base: bigint;
  readonly descriptor: (index: number, addr: bigint, len: number, flags?: number, next?: number) => void;
  /** Make heads available. */
  readonly offer: (...heads: readonly number[]) => void;
  /** Guest pages to pages of the process with the same number. */
  readonly map: (guest: bigint, pages?: bigint, perm?: number) => Promise<number | string>;
  readonly read: () => Promise<string>;
  readonly take: () => Promise<VhostChain | string | null>;
}

/** @param iotlb whether the device has an IOTLB; a memory table with everything otherwise */
async function session(iotlb: boolean, body: (s: Session) => Promise<void>): Promise<void> {
  const kernel = await bootBuiltins(BELOW);
  const { k } = kernel;
  await kernel.user(async (proc) => {
    let kicks = 0;
    const dev = k.vhost_dev_init({ nvqs: 1, handle_kick: () => void kicks++ as undefined, msg_handler: null });
    k.vhost_dev_set_owner(dev, proc);
    const base = BigInt(await anonymous(k, proc, 0x1_0000));
    const [vq] = dev.vqs;
    if (vq === undefined) throw new Error('no queue');
    vq.num = NUM;
    const place = (guest: bigint): bigint => (iotlb ? guest : base + guest); // the memory table is for buffers, rings are user addresses
    Object.assign(vq, { desc: place(DESC), avail: place(AVAIL), used: place(USED) });
    if (iotlb) k.vhost_init_device_iotlb(dev);
    else {
      const table = [...uapi.vhost_memory.encode({ nregions: 1, padding: 0 }), ...uapi.vhost_memory_region.encode({ guest_phys_addr: 0n, memory_size: 0x1_0000n, userspace_addr: base, flags_padding: 0n })];
      const at = await anonymous(k, proc, 4096);
      proc.mm.write(at, Uint8Array.from(table));
      await k.vhost_dev_ioctl(dev, uapi.VHOST_SET_MEM_TABLE, at, proc);
    }
    const u16 = (at: bigint, value: number) => proc.mm.write(Number(base + at), Uint8Array.of(value & 0xff, value >> 8));
    let index = 0;
    await body({
      kernel, k, proc, dev, vq, kicks: () => kicks, base,
      descriptor: (i, addr, len, flags = 0, next = 0) => void proc.mm.write(Number(base + DESC) + 16 * i, uapi.vring_desc.encode({ addr, len, flags, next })),
      offer: (...heads) => {
        for (const head of heads) u16(AVAIL + 4n + BigInt(2 * (index++ % NUM)), head);
        u16(AVAIL + 2n, index);
      },
      map: (guest, pages = 1n, perm = uapi.VHOST_ACCESS_RW) => answerOf(() => k.vhost_chr_write_iter(dev, uapi.vhost_msg_v2.encode({
        type: uapi.VHOST_IOTLB_MSG_V2, iotlb: { type: uapi.VHOST_IOTLB_UPDATE, iova: guest, size: pages * PAGE, uaddr: base + guest, perm },
      }), proc)),
      async read() {
        let text = '';
        const answer = await answerOf(async () => {
          const bytes = await k.vhost_chr_read_iter(dev, 72, true);
          const { iotlb: m } = uapi.vhost_msg.decode(bytes);
          text = `${bytes[0] === uapi.VHOST_IOTLB_MSG_V2 ? 'v2' : 'v1'} kind ${m.type} 0x${m.iova.toString(16)} perm ${m.perm}`;
        });
        return answer === 0 ? text : String(answer);
      },
      async take() {
        let chain: VhostChain | null = null;
        const answer = await answerOf(async () => void (chain = k.vhost_get_vq_desc(vq)));
        return answer === 0 ? chain : String(answer);
      },
    });
    k.vhost_dev_cleanup(dev);
  });
  expect(kernel.leftovers()).toEqual([]);
}

test('what is missed is told once, is pending until it is mapped, and the queue then goes on', async () => {
  covers('2.5.13');
  await session(true, async ({ k, dev, vq, proc, kicks, base, descriptor, offer, map, read, take }) => {
    descriptor(0, DATA, 100, uapi.VRING_DESC_F_NEXT, 1);
    descriptor(1, DATA + 2n * PAGE - 8n, 16, uapi.VRING_DESC_F_WRITE);
    offer(0);
    expect([await read(), k.vhost_chr_poll(dev) & uapi.POLLIN, await take()]).toEqual(['EAGAIN', 0, 'EFAULT']); // the ring itself is not there
    await read();
    for (const guest of [DESC, AVAIL, USED]) {
      expect([k.vq_meta_prefetch(vq), k.vhost_chr_poll(dev) & uapi.POLLIN, await read()])
        .toEqual([false, uapi.POLLIN, `v1 kind 1 0x${guest.toString(16)} perm ${guest === USED ? 2 : 1}`]);
      const before = kicks();
      expect([await map(guest), kicks() - before]).toEqual([72, guest === AVAIL ? 2 : 1]);
    }
    expect(k.vq_meta_prefetch(vq)).toBe(true);
    k.vhost_set_backend_features(dev, 1n << BigInt(uapi.VHOST_BACKEND_F_IOTLB_MSG_V2));
    expect([await take(), await read(), await read()]).toEqual(['EAGAIN', `v2 kind 1 0x${DATA.toString(16)} perm 1`, 'EAGAIN']);
    expect([await map(DATA), await take(), await read()]).toEqual([72, 'EAGAIN', `v2 kind 1 0x${(DATA + 2n * PAGE - 8n).toString(16)} perm 2`]);
    expect([await map(DATA + PAGE, 1n, uapi.VHOST_ACCESS_RO), await take()]).toEqual([72, 'EPERM']);
    await answerOf(() => k.vhost_chr_write_iter(dev, uapi.vhost_msg_v2.encode({
      type: uapi.VHOST_IOTLB_MSG_V2, iotlb: { type: uapi.VHOST_IOTLB_INVALIDATE, iova: DATA + PAGE, size: PAGE, uaddr: 0n, perm: 0 },
    }), proc));
    expect([await map(DATA + PAGE, 2n), vq.last_avail_idx]).toEqual([72, 0]);
    expect(await take()).toEqual({
      head: 0, out: [{ base: base + DATA, len: 100 }], in: [{ base: base + DATA + 2n * PAGE - 8n, len: 16 }], log: [{ addr: DATA + 2n * PAGE - 8n, len: 16 }],
    });
    expect([await take(), vq.last_avail_idx]).toEqual([null, 1]);
  });
});

test('a reader waits for a miss, and is let go when the device goes', async () => {
  await session(true, async ({ kernel, k, dev, vq }) => {
    const got: (number | string)[] = [];
    const reader = (): unknown => kernel.spawn('reader', async () => void got.push(await answerOf(async () => (await k.vhost_chr_read_iter(dev, 200, false)).length)));
    reader();
    await k.msleep(1);
    expect([got, k.vhost_chr_poll_queue(dev).waiters.size]).toEqual([[], 1]);
    expect(k.vq_meta_prefetch(vq)).toBe(false);
    await k.msleep(1);
    expect([got, (await k.vhost_chr_read_iter(dev, 71, false)).length]).toEqual([[72], 0]); // too little room takes nothing
    reader();
    await k.msleep(1);
    k.vhost_dev_cleanup(dev);
    await k.msleep(1);
    expect(got).toEqual([72, 'EBADFD']);
  });
});

test('messages of such a device: one address space, user addresses, and only with an IOTLB', async () => {
  await session(false, async ({ map }) => expect(await map(DATA)).toBe('EFAULT'));
  await session(true, async ({ k, dev, proc, base }) => {
    k.vhost_set_backend_features(dev, 1n << BigInt(uapi.VHOST_BACKEND_F_IOTLB_ASID));
    const send = (asid: number, type: number, uaddr: bigint) => answerOf(() => k.vhost_chr_write_iter(dev, uapi.vhost_msg_v2.encode({
      type: uapi.VHOST_IOTLB_MSG_V2, asid, iotlb: { type, iova: 0n, size: PAGE, uaddr, perm: 3 },
    }), proc));
    expect([await send(0, 2, base), await send(1, 2, base), await send(0, 5, base), await send(0, 2, 0x7fff_ffff_f000n)]).toEqual([72, 'EFAULT', 'EFAULT', 'EFAULT']);
  });
});

test('chains off a memory table: in order, through tables, and refused as they are broken', async () => {
  await session(false, async ({ base, descriptor, offer, take, vq, proc }) => {
    const { VRING_DESC_F_INDIRECT: INDIRECT, VRING_DESC_F_NEXT: NEXT, VRING_DESC_F_WRITE: WRITE } = uapi;
    expect(await take()).toBeNull();
    const table = (...rows: readonly (readonly [bigint, number, number, number])[]) =>
      rows.forEach(([addr, len, flags, next], i) => proc.mm.write(Number(base + DATA) + 16 * i, uapi.vring_desc.encode({ addr, len, flags, next })));
    table([0x9000n, 4, NEXT, 1], [0xa000n, 8, WRITE, 0]);
    descriptor(2, DATA, 32, INDIRECT);
    offer(2);
    expect(await take()).toMatchObject({ head: 2, out: [{ base: base + 0x9000n, len: 4 }], in: [{ base: base + 0xa000n, len: 8 }] });

    const broken: readonly (readonly [string, string, () => void])[] = [
      ['a loop', 'EINVAL', () => { descriptor(0, DATA, 1, NEXT, 1); descriptor(1, DATA, 1, NEXT, 0); }],
      ['a next out of range', 'EINVAL', () => descriptor(0, DATA, 1, NEXT, NUM)],
      ['a read behind a write', 'EINVAL', () => { descriptor(0, DATA, 1, WRITE | NEXT, 1); descriptor(1, DATA, 1); }],
      ['a table of 20 bytes', 'EINVAL', () => descriptor(0, DATA, 20, INDIRECT)],
      ['a table in a table', 'EINVAL', () => { table([0x9000n, 16, INDIRECT, 0]); descriptor(0, DATA, 16, INDIRECT); }],
      ['a loop in a table', 'EINVAL', () => { table([0x9000n, 1, NEXT, 0]); descriptor(0, DATA, 16, INDIRECT); }],
      ['a next outside its table', 'EINVAL', () => { table([0x9000n, 1, NEXT, 9], [0n, 0, 0, 0]); descriptor(0, DATA, 32, INDIRECT); }],
      ['memory the table lacks', 'EFAULT', () => descriptor(0, 0x1_0000n, 1)],
    ];
    for (const [what, errno, breakIt] of broken) {
      breakIt();
      const at = vq.last_avail_idx;
      offer(0);
      expect([what, await take(), vq.last_avail_idx]).toEqual([what, errno, at]);
      vq.last_avail_idx = (at + 1) & 0xffff;
    }
    offer(NUM);
    expect(await take()).toBe('EINVAL'); // a head out of range
    vq.last_avail_idx = (vq.last_avail_idx - 20) & 0xffff;
    expect(await take()).toBe('EFAULT'); // more entries than the ring has
    vq.avail = 0x10n;
    expect(await take()).toBe('EFAULT');
  });
});
