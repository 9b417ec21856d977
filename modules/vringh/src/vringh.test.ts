import { bootBuiltins, covers } from '@vdpalab/testing';
import {
  VHOST_ACCESS_RO, VHOST_ACCESS_RW, VHOST_ACCESS_WO, VRING_DESC_F_INDIRECT, VRING_DESC_F_NEXT, VRING_DESC_F_WRITE,
} from '@vdpalab/uapi';
import { expect, test } from 'vitest';
import type { Vringh, VringhKiov } from './header.ts';
import type {} from '@vdpalab/vhost-iotlb';

const NUM = 8;
const EVENT_IDX = 1n << 29n;
/** Where the guest's memory begins as it sees it, and the parts of the ring there. */
const BASE = 0x10_0000_0000n;
const [DESC, AVAIL, USED, DATA] = [0n, 0x1000n, 0x2000n, 0x3000n] as const;

type Desc = readonly [addr: bigint, len: number, flags: number, next: number];

const kiov = (): VringhKiov => ({ segments: [], consumed: 0 });

/** A ring in RAM behind an IOTLB, and the driver's hand on it. */
async function setUp(features = 0n, perm = VHOST_ACCESS_RW) {
  const kernel = await bootBuiltins(['sched', 'vhost-iotlb', 'vringh']);
  const { k, machine } = kernel;
  const pa = 0x20_0000;
  const bytes = machine.ram.view(pa, 0x10_000);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const iotlb = k.vhost_iotlb_alloc(0, 0);
  k.vhost_iotlb_add_range(iotlb, BASE, BASE + 0x2fffn, BigInt(pa), VHOST_ACCESS_RW);
  k.vhost_iotlb_add_range(iotlb, BASE + DATA, BASE + 0xefffn, BigInt(pa) + DATA, perm);
  const vrh = k.vringh_init_iotlb(features, NUM, false, BASE + DESC, BASE + AVAIL, BASE + USED);
  k.vringh_set_iotlb(vrh, iotlb);
  let avail = 0;
  return {
    kernel, k, iotlb, vrh, bytes, view, pa,
    desc: (index: number, [addr, len, flags, next]: Desc, table = Number(DESC)): void => {
      const at = table + 16 * index;
      view.setBigUint64(at, addr, true);
      view.setUint32(at + 8, len, true);
      view.setUint16(at + 12, flags, true);
      view.setUint16(at + 14, next, true);
    },
    offer: (head: number): void => {
      view.setUint16(Number(AVAIL) + 4 + 2 * (avail % NUM), head, true);
      view.setUint16(Number(AVAIL) + 2, ++avail, true);
    },
    used: () => ({ idx: view.getUint16(Number(USED) + 2, true), id: view.getUint32(Number(USED) + 4, true), len: view.getUint32(Number(USED) + 8, true) }),
    take: (vring: Vringh, readable = true, writable = true): number | string => {
      const [riov, wiov] = [kiov(), kiov()];
      try {
        return k.vringh_getdesc_iotlb(vring, readable ? riov : null, writable ? wiov : null);
      } catch (error) {
        return (error as { errno: string }).errno;
      }
    },
    log: () => kernel.log.splice(0).map((line) => `${line.level}: ${line.text}`),
  };
}

const at = (offset: number): bigint => BASE + DATA + BigInt(offset);

test('a chain is pulled from, pushed to, completed, and goes on where it was left', async () => {
  const { k, vrh, bytes, desc, offer, used } = await setUp();
  desc(0, [at(0), 4, VRING_DESC_F_NEXT, 1]);
  desc(1, [at(0x100), 4, VRING_DESC_F_NEXT, 2]);
  desc(2, [at(0x200), 6, VRING_DESC_F_WRITE, 0]);
  bytes.set([1, 2, 3, 4], 0x3000);
  bytes.set([5, 6, 7, 8], 0x3100);
  const [riov, wiov] = [kiov(), kiov()];
  expect(k.vringh_getdesc_iotlb(vrh, riov, wiov)).toBe(-1);
  offer(0);
  expect(k.vringh_getdesc_iotlb(vrh, riov, wiov)).toBe(0);
  expect(riov.segments).toEqual([{ lo: 0x3000, hi: 0x10, len: 4 }, { lo: 0x3100, hi: 0x10, len: 4 }]);
  expect(wiov.segments).toEqual([{ lo: 0x3200, hi: 0x10, len: 6 }]);
  const [head, rest] = [new Uint8Array(3), new Uint8Array(20)];
  expect([k.vringh_iov_pull_iotlb(vrh, riov, head), k.vringh_iov_pull_iotlb(vrh, riov, rest), riov.consumed]).toEqual([3, 5, 8]);
  expect([[...head], [...rest.slice(0, 5)]]).toEqual([[1, 2, 3], [4, 5, 6, 7, 8]]);
  expect([k.vringh_iov_push_iotlb(vrh, wiov, Uint8Array.of(9, 8)), k.vringh_iov_push_iotlb(vrh, wiov, new Uint8Array(9).fill(7))]).toEqual([2, 4]);
  expect([...bytes.slice(0x3200, 0x3207)]).toEqual([9, 8, 7, 7, 7, 7, 0]);
  k.vringh_complete_iotlb(vrh, 0, 6);
  expect([used(), vrh.last_avail_idx, vrh.last_used_idx]).toEqual([{ idx: 1, id: 0, len: 6 }, 1, 1]);
  k.vringh_abandon_iotlb(vrh, 1);
  expect([vrh.last_avail_idx, k.vringh_getdesc_iotlb(vrh, riov, wiov)]).toEqual([0, 0]);
  vrh.last_avail_idx = 0xffff;
  vrh.last_used_idx = 7;
  expect([vrh.last_avail_idx, vrh.last_used_idx]).toEqual([0xffff, 7]);
});

test('what a driver may not write is refused with the errno and the words of Linux', async () => {
  covers('2.6.5');
  const bad = async (chain: (s: Awaited<ReturnType<typeof setUp>>) => void, readable = true, writable = true, perm = VHOST_ACCESS_RW) => {
    const s = await setUp(0n, perm);
    chain(s);
    return [s.take(s.vrh, readable, writable), s.vrh.last_avail_idx, s.log().join()];
  };
  const { VRING_DESC_F_NEXT: NEXT, VRING_DESC_F_WRITE: WRITE, VRING_DESC_F_INDIRECT: INDIRECT } = { VRING_DESC_F_NEXT, VRING_DESC_F_WRITE, VRING_DESC_F_INDIRECT };
  const text = (part: string): unknown => expect.stringContaining(`5: vringh:,4: ${part}`);
  expect(await bad((s) => s.offer(NUM))).toEqual(['EINVAL', 0, text(`Guest says index ${NUM} > ${NUM} is available`)]); // and stays where it is
  const one = (...d: Desc) => (s: Awaited<ReturnType<typeof setUp>>) => {
    s.desc(0, d);
    s.offer(0);
  };
  expect(await bad(one(at(0), 17, INDIRECT, 0))).toEqual(['EINVAL', 1, text('Strange indirect len 17')]);
  expect(await bad(one(at(0), 4, NEXT, NUM))).toEqual(['EINVAL', 1, text('Chained index')]);
  expect(await bad(one(at(0), 4, NEXT, 0))).toEqual(['ELOOP', 1, text('Descriptor loop')]);
  expect(await bad((s) => {
    s.desc(0, [at(0), 16, INDIRECT, 0]);
    s.desc(0, [at(0x100), 16, INDIRECT, 0], Number(DATA));
    s.offer(0);
  })).toEqual(['EINVAL', 1, text('Multilevel indirect')]);
  expect(await bad((s) => {
    s.desc(0, [at(0), 4, WRITE | NEXT, 1]);
    s.desc(1, [at(4), 4, 0, 0]);
    s.offer(0);
  })).toEqual(['EINVAL', 1, text('Readable desc')]);
  expect(await bad(one(at(0), 4, 0, 0), false)).toEqual(['EPROTO', 1, text('Unexpected readable desc')]);
  expect(await bad(one(at(0), 4, WRITE, 0), true, false)).toEqual(['EPROTO', 1, text('Unexpected writable desc')]);
  // An address is looked at when it is copied from or to, not before.
  expect(await bad(one(0x5000n, 4, 0, 0))).toEqual([0, 1, '']);

  // 1100 entries of an indirect table are more pieces than a chain may have
  const s = await setUp();
  for (let i = 0; i < 1100; i++) s.desc(i, [0x1ff8n, 16, i < 1099 ? NEXT : 0, i + 1], 0x3000);
  s.desc(0, [at(0), 1100 * 16, INDIRECT, 0]);
  s.offer(0);
  expect(s.take(s.vrh)).toBe('ENOBUFS');
});

test('a copy that meets an address that is not mapped so stops there, and what came before it is done', async () => {
  covers('2.6.5');
  const attempt = async (chain: readonly Desc[], perm = VHOST_ACCESS_RW) => {
    const { k, vrh, desc, offer, bytes, pa, iotlb } = await setUp(0n, perm);
    k.vhost_iotlb_add_range(iotlb, 0x1000n, 0x1fffn, BigInt(pa) + 0xe000n, VHOST_ACCESS_RW);
    k.vhost_iotlb_add_range(iotlb, 0x2000n, 0x2fffn, BigInt(pa) + 0xc000n, VHOST_ACCESS_RW);
    k.vhost_iotlb_add_range(iotlb, 0n, 0xfffn, BigInt(pa), VHOST_ACCESS_RW);
    k.vhost_iotlb_add_range(iotlb, (1n << 64n) - 4096n, (1n << 64n) - 1n, BigInt(pa), VHOST_ACCESS_RW);
    k.vhost_iotlb_add_range(iotlb, 1n << 53n, 1n << 53n, BigInt(pa), VHOST_ACCESS_RW);
    chain.forEach((d, i) => desc(i, d));
    offer(0);
    bytes.fill(5, 0x3000, 0x3010);
    bytes.fill(6, 0xeff8, 0xf000);
    bytes.fill(7, 0xc000, 0xc008);
    const [riov, wiov] = [kiov(), kiov()];
    expect(k.vringh_getdesc_iotlb(vrh, riov, wiov)).toBe(0);
    const got = new Uint8Array(16);
    const answer = (body: () => number): number | string => {
      try {
        return body();
      } catch (error) {
        return (error as { errno: string }).errno;
      }
    };
    const way = riov.segments.length > 0
      ? { iov: riov, result: answer(() => k.vringh_iov_pull_iotlb(vrh, riov, got)) }
      : { iov: wiov, result: answer(() => k.vringh_iov_push_iotlb(vrh, wiov, got.fill(9))) };
    return [way.result, way.iov.consumed, [...got.subarray(0, 12)].join('')];
  };
  const NEXT = VRING_DESC_F_NEXT;
  expect(await attempt([[0x1ff8n, 16, 0, 0]])).toEqual([16, 16, '666666667777']); // over two mappings
  expect(await attempt([[at(0), 4, NEXT, 1], [0x8000n, 4, 0, 0]])).toEqual(['EINVAL', 4, '555500000000']);
  expect(await attempt([[at(0xbffe), 8, 0, 0]])).toEqual(['EINVAL', 0, '000000000000']); // runs out of the mapping: of a piece all is copied or nothing
  expect(await attempt([[at(0), 4, VRING_DESC_F_WRITE, 0]], VHOST_ACCESS_RO)).toEqual(['EPERM', 0, '999999999999']);
  expect(await attempt([[at(0), 4, 0, 0]], VHOST_ACCESS_WO)).toEqual(['EPERM', 0, '000000000000']);
  expect(await attempt([[(1n << 53n) + 1n, 8, 0, 0]])).toEqual(['EINVAL', 0, '000000000000']); // precise beyond what a number holds
  expect(await attempt([[(1n << 64n) - 2n, 8, 0, 0]])).toEqual(['EINVAL', 0, '000000000000']);
});

test('pieces can be passed over without being looked at', async () => {
  const { k, vrh, desc, offer, bytes } = await setUp();
  desc(0, [0x8000n, 6, VRING_DESC_F_NEXT, 1]);
  desc(1, [at(0), 4, 0, 0]);
  offer(0);
  bytes.set([1, 2, 3, 4], 0x3000);
  const riov = kiov();
  k.vringh_getdesc_iotlb(vrh, riov, null);
  k.vringh_kiov_advance(riov, 7);
  const got = new Uint8Array(8);
  expect([k.vringh_iov_pull_iotlb(vrh, riov, got), [...got.subarray(0, 3)]]).toEqual([3, [2, 3, 4]]);
  k.vringh_kiov_advance(riov, 100);
  expect(riov.consumed).toBe(10);
});

test('a ring that is not mapped cannot be walked, and one size in powers of two is wanted', async () => {
  const { k, vrh, iotlb, offer, take, log } = await setUp();
  offer(0);
  k.vhost_iotlb_del_range(iotlb, BASE + AVAIL, BASE + AVAIL);
  expect([take(vrh), log().join()]).toEqual(['EFAULT', expect.stringContaining('Failed to access')]);
  for (const num of [0, 3, 0x10000]) {
    expect(() => k.vringh_init_iotlb(0n, num, false, 0n, 0n, 0n)).toThrow(expect.objectContaining({ errno: 'EINVAL' }));
  }
  expect(() => k.vringh_init_iotlb(0n, 8, false, 1n << 60n, 0n, 0n)).toThrow(expect.objectContaining({ rule: 'vringh.init.address' }));
  expect(log()).toEqual([0, 3, 65536].flatMap((size) => ['5: vringh:', `4: Bad ring size ${size}`]));
});

test('a mapping that goes is gone at once, also when the whole table is exchanged', async () => {
  const { k, vrh, iotlb, desc, offer, take } = await setUp();
  desc(0, [at(0), 4, 0, 0]);
  for (let i = 0; i < 3; i++) offer(0);
  const riov = kiov();
  const pull = (): number => {
    k.vringh_getdesc_iotlb(vrh, riov, null);
    return k.vringh_iov_pull_iotlb(vrh, riov, new Uint8Array(4));
  };
  expect(pull()).toBe(4);
  k.vhost_iotlb_del_range(iotlb, at(0), at(0));
  expect(pull).toThrow(expect.objectContaining({ errno: 'EINVAL' }));
  k.vringh_set_iotlb(vrh, k.vhost_iotlb_alloc(0, 0));
  expect(take(vrh)).toBe('EFAULT');
});

test('the driver is told when it wants to be: by its flag, or by its event index once that is negotiated', async () => {
  covers('2.6.6');
  const { k, vrh, view, desc, offer, take } = await setUp();
  desc(0, [at(0), 4, 0, 0]);
  offer(0);
  take(vrh);
  k.vringh_complete_iotlb(vrh, 0, 0);
  expect(k.vringh_need_notify_iotlb(vrh)).toBe(true);
  view.setUint16(Number(AVAIL), 1, true); // VRING_AVAIL_F_NO_INTERRUPT
  expect(k.vringh_need_notify_iotlb(vrh)).toBe(false);
  k.vringh_notify_disable_iotlb(vrh);
  expect(view.getUint16(Number(USED), true)).toBe(1);
  expect([k.vringh_notify_enable_iotlb(vrh), view.getUint16(Number(USED), true)]).toEqual([true, 0]);
  offer(0);
  expect(k.vringh_notify_enable_iotlb(vrh)).toBe(false); // one slipped in

  const event = await setUp(EVENT_IDX);
  event.desc(0, [at(0), 4, 0, 0]);
  event.view.setUint16(Number(AVAIL) + 4 + 2 * NUM, 1, true); // tell me of the second
  const complete = (): boolean => {
    event.offer(0);
    event.take(event.vrh);
    event.k.vringh_complete_iotlb(event.vrh, 0, 0);
    return event.k.vringh_need_notify_iotlb(event.vrh);
  };
  expect([complete(), complete(), complete()]).toEqual([false, true, false]);
  expect(event.k.vringh_notify_enable_iotlb(event.vrh)).toBe(true);
  expect(event.view.getUint16(Number(USED) + 4 + 8 * NUM, true)).toBe(3); // avail_event
});
