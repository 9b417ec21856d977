import fc from 'fast-check';
import { VIRTIO_NET_F_CTRL_VQ, VIRTIO_NET_F_MQ, VIRTIO_NET_F_MRG_RXBUF, VIRTIO_RING_F_EVENT_IDX } from '@vdpalab/uapi';
import { describe, expect, it } from 'vitest';
import { InjectionPort } from '../net/injection.ts';
import type { EthernetSwitch } from '../net/switch.ts';
import { Bench, IOVA_SHIFT, frameOf, n3000 } from './driver.fixture.ts';
import type { Driver } from './driver.fixture.ts';

const NUM = 8;
/** Bytes of RAM that a hostile driver writes: rings, tables and buffers, mapped at IOVA_SHIFT. */
const ARENA = 0x8000;

/** Something a driver may do wrong. */
type Step =
  | { readonly kind: 'poke'; readonly at: number; readonly value: number }
  | { readonly kind: 'desc'; readonly queue: number; readonly slot: number; readonly page: number; readonly length: number;
    readonly flags: number; readonly next: number }
  | { readonly kind: 'avail'; readonly queue: number; readonly head: number; readonly by: number }
  | { readonly kind: 'kick'; readonly queue: number }
  | { readonly kind: 'frame'; readonly length: number }
  | { readonly kind: 'register'; readonly at: number; readonly size: 1 | 2 | 4; readonly value: number }
  | { readonly kind: 'run' };

const queue = fc.nat(2);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('poke' as const), at: fc.nat(ARENA - 1), value: fc.nat(255) }) },
  { weight: 6, arbitrary: fc.record({
    kind: fc.constant('desc' as const), queue, slot: fc.nat(NUM - 1), page: fc.nat(9),
    length: fc.oneof(fc.nat(4096), fc.constantFrom(0, 16, 32, 0xffff_ffff)), flags: fc.nat(7), next: fc.oneof(fc.nat(NUM), fc.nat(0xffff)),
  }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('avail' as const), queue, head: fc.oneof(fc.nat(NUM - 1), fc.nat(0xffff)), by: fc.oneof(fc.constant(1), fc.nat(0xffff)) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('kick' as const), queue }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('frame' as const), length: fc.integer({ min: 14, max: 1600 }) }) },
  { weight: 1, arbitrary: fc.record({
    kind: fc.constant('register' as const), at: fc.nat(0x7fff), size: fc.constantFrom(1 as const, 2 as const, 4 as const), value: fc.nat(),
  }) },
  { weight: 2, arbitrary: fc.constant({ kind: 'run' as const }) },
);

function build(features: readonly number[]): { bench: Bench; driver: Driver; outside: InjectionPort; arena: number } {
  const bench = new Bench([n3000({ queue_pairs: 2 })], { ramBytes: 2 * 2 ** 20 });
  const outside = new InjectionPort((bench.system.networks.get('lan') as EthernetSwitch).attach('outside'));
  const driver = bench.vfDriver(0, bench.enableVfs(bench.pf, 1));
  const arena = bench.ram(ARENA);
  driver.map(arena, ARENA);
  driver.map = (pa) => pa + IOVA_SHIFT;
  return { bench, driver, outside, arena };
}

/** Rings of all queues lie in the arena's first page; the rest is buffers. */
function place(driver: Driver, arena: number, q: number): undefined {
  const base = arena + q * 512 + IOVA_SHIFT;
  const { common } = driver;
  driver.w16(common + 22, q);
  driver.w16(common + 24, NUM);
  [base, base + 128, base + 256].forEach((address, i) => {
    driver.w32(common + 32 + 8 * i, address >>> 0);
    driver.w32(common + 36 + 8 * i, Math.floor(address / 2 ** 32));
  });
  driver.w16(common + 28, 1);
}

describe('hostile bytes in rings and registers', () => {
  it('never hang or throw, and never let the function write outside what is mapped', async () => {
    await fc.assert(fc.asyncProperty(
      fc.array(step, { minLength: 5, maxLength: 60 }),
      fc.subarray([VIRTIO_RING_F_EVENT_IDX, VIRTIO_NET_F_MRG_RXBUF, VIRTIO_NET_F_MQ, VIRTIO_NET_F_CTRL_VQ, 28]),
      async (steps, features) => {
        const { bench, driver, outside, arena } = build(features);
        driver.negotiate(features);
        for (const q of [0, 1, 4]) place(driver, arena, q);
        driver.status = 15;
        const ram = bench.hw.ram.view(0, 2 * 2 ** 20);
        const before = ram.slice();
        const u16 = (at: number, value: number): undefined => void ram.set([value & 0xff, (value >>> 8) & 0xff], at) as undefined;
        for (const s of steps) {
          const ring = s.kind === 'desc' || s.kind === 'avail' || s.kind === 'kick' ? [0, 1, 4][s.queue]! : 0;
          const base = arena + ring * 512;
          if (s.kind === 'poke') ram[arena + s.at] = s.value;
          else if (s.kind === 'desc') {
            const at = base + 16 * s.slot;
            const address = BigInt(IOVA_SHIFT + arena + s.page * 4096 + 4000);
            for (let i = 0; i < 8; i++) ram[at + i] = Number((address >> BigInt(8 * i)) & 255n);
            u16(at + 8, s.length);
            u16(at + 10, s.length >>> 16);
            u16(at + 12, s.flags);
            u16(at + 14, s.next);
          } else if (s.kind === 'avail') {
            const index = ram[base + 130]! | (ram[base + 131]! << 8);
            u16(base + 132 + 2 * (index % NUM), s.head);
            u16(base + 130, index + s.by);
          } else if (s.kind === 'kick') driver.kick(ring);
          else if (s.kind === 'frame') outside.inject(frameOf('broadcast', Uint8Array.of(2, 0, 0, 0, 0, 1), s.length));
          else if (s.kind === 'register') {
            // Any register of BAR 0, notifications, or the live migration region.
            const bars = [driver.common, driver.notify, driver.lm];
            bench.hw.mmio.write(bars[s.at % 3]! + (s.at & 0x0fff & ~3), s.size, s.value);
          } else expect((await bench.hw.sched.run(20_000)).kind).toBe('idle');
        }
        expect((await bench.hw.sched.run(20_000)).kind).toBe('idle');
        expect(bench.system.frames.inUse).toBe(0);
        const outsideArena = Buffer.compare(before.subarray(0, arena), ram.subarray(0, arena))
          || Buffer.compare(before.subarray(arena + ARENA), ram.subarray(arena + ARENA));
        expect(outsideArena).toBe(0);
        // Whatever happened, a reset brings the function back.
        driver.status = 0;
        expect([driver.status, driver.negotiate()]).toEqual([0, 11]);
      },
    ), { numRuns: 100 });
  });

  it('of each kind have the outcome the specification or Linux gives them', async () => {
    const outcome = async (make: (put: (slot: number, offset: number, length: number, flags: number, next: number) => undefined) => number): Promise<string> => {
      const { bench, driver, arena } = build([]);
      driver.negotiate([28]);
      place(driver, arena, 1);
      driver.status = 15;
      const view = new DataView(bench.hw.ram.view(arena, ARENA).buffer, arena, ARENA);
      const head = make((slot, offset, length, flags, next) => {
        view.setBigUint64(512 + 16 * slot, BigInt(IOVA_SHIFT + arena + offset), true);
        view.setUint32(512 + 16 * slot + 8, length, true);
        view.setUint16(512 + 16 * slot + 12, flags, true);
        view.setUint16(512 + 16 * slot + 14, next, true);
        return undefined;
      });
      view.setUint16(512 + 128 + 4, head & 0xffff, true);
      view.setUint16(512 + 128 + 2, head > 0xffff ? head >>> 16 : 1, true);
      driver.kick(1);
      await bench.hw.sched.run();
      const used = view.getUint16(512 + 256 + 2, true);
      return driver.fn.fault?.rule ?? (used === 1 ? `used ${view.getUint32(512 + 256 + 8, true)}` : 'nothing');
    };
    expect(await outcome((put) => (put(0, 4096, 76, 0, 0), 0))).toBe('used 0');
    expect(await outcome(() => 8)).toBe('vring.head-range');
    expect(await outcome((put) => (put(0, 4096, 10, 1, 9), 0))).toBe('vring.next-range');
    expect(await outcome((put) => (put(0, 4096, 10, 1, 0), 0))).toBe('vring.desc-loop');
    expect(await outcome((put) => (put(0, 4096, 24, 4, 0), 0))).toBe('vring.indirect-length');
    expect(await outcome((put) => (put(0, 4096, 100, 2, 0), 0))).toBe('vring.unexpected-writable');
    expect(await outcome(() => 9 << 16)).toBe('vring.index-jump');
    expect(await outcome((put) => (put(0, ARENA + 4096, 76, 0, 0), 0))).toBe('used 0');
    expect(await outcome((put) => (put(0, ARENA - 20, 76, 0, 0), 0))).toBe('used 0');
  });
});
