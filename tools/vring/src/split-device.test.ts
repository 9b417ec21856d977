import { ELOOP, EFAULT, EINVAL, EMSGSIZE, ENOBUFS, EPERM, EPROTO, VHOST_ACCESS_RO, VHOST_ACCESS_RW } from '@vdpalab/uapi';
import { covers } from '@vdpalab/features';
import { describe, expect, test } from 'vitest';
import {
  ChainBatch, GatheredSplitDevice, RECEIVE_MERGEABLE, RECEIVE_TRUNCATE, Runs, SplitDevice, openSplitDevice, resolveSplitAreas,
} from './index.ts';
import type { RingDeviceOptions } from './index.ts';
import { MockRing, PagedMemory } from './mock/index.ts';

const NEXT = 1;
const WRITE = 2;
const INDIRECT = 4;
const BASE = 0xffff_e000; // so that a 4 GiB boundary lies inside
const PAGE = 0x1000;
const PAGES = 8;
/** Data pages: 3 to 7; 6 read only, 7 unmapped. */
const DATA = BASE + 3 * PAGE;
const READ_ONLY = BASE + 6 * PAGE;
const UNMAPPED = BASE + 7 * PAGE;

const KINDS = ['fast', 'gathered'] as const;

function setUp(kind: (typeof KINDS)[number], num = 8, options: Partial<RingDeviceOptions> = {}) {
  const memory = new PagedMemory({
    pageSize: PAGE,
    base: BASE,
    places: kind === 'fast' ? [0, 1, 2, 3, 4, 5, 6, 7] : [5, 1, 0, 3, 4, 2, 6, 7],
    perms: Array.from({ length: PAGES }, (_, i) => (i === 6 ? VHOST_ACCESS_RO : i === 7 ? 0 : VHOST_ACCESS_RW)),
    merge: kind === 'fast',
  });
  const ring = new MockRing(memory, BASE + PAGE - 64, num);
  const all = { translate: memory, ...options };
  const device = kind === 'fast' ? new SplitDevice(resolveSplitAreas(ring, memory)!, all) : new GatheredSplitDevice(ring, all);
  return { memory, ring, device, batch: new ChainBatch(num, 64) };
}

describe.each(KINDS)('%s split device', (kind) => {
  test('describes chains in order, readable segments before writable ones', () => {
    const { ring, device, batch } = setUp(kind);
    ring.setChain(2, [{ addr: DATA, len: 16 }, { addr: DATA + 64, len: 8, flags: WRITE }, { addr: DATA + 72, len: 1, flags: WRITE }]);
    ring.setDescriptor(0, { addr: DATA + 100, len: 5 });
    ring.offer(2, 0);
    expect(device.pending()).toBe(2);
    expect(device.walk(batch, 10)).toBe(2);
    expect([...batch.head.slice(0, 2)]).toEqual([2, 0]);
    expect([...batch.start.slice(0, 3)]).toEqual([0, 3, 4]);
    expect([...batch.split.slice(0, 2)]).toEqual([1, 4]);
    expect([...batch.length.slice(0, 4)]).toEqual([16, 8, 1, 5]);
    expect([...batch.addrLo.slice(0, 4)]).toEqual([DATA, DATA + 64, DATA + 72, DATA + 100].map((a) => a >>> 0));
    expect(batch.addrHi[0]).toBe(1);
    expect([batch.readable(0), batch.writable(0), batch.readable(1), batch.writable(1)]).toEqual([16, 9, 5, 0]);
    expect(device.lastHead).toBe(0);
    expect(device.walk(batch, 10)).toBe(0);
    expect(batch.count).toBe(0);
  });

  test('counts what the ring costs: descriptors wherever they lie, entries, indices', () => {
    const { ring, device, batch } = setUp(kind, 8, { eventIdx: true });
    ring.setChain(0, [{ addr: DATA, len: 16 }, { addr: DATA + 64, len: 8 }]);
    ring.setDescriptor(3, { addr: DATA, len: 48, flags: INDIRECT });
    for (let i = 0; i < 3; i++) ring.setDescriptorAt(DATA + 16 * i, { addr: DATA + 512, len: 4, flags: i < 2 ? NEXT : 0, next: i + 1 });
    ring.setDescriptor(5, { addr: BASE + 6 * PAGE - 4, len: 10 }); // two segments, one descriptor
    ring.offer(0, 3, 5);
    expect(device.walk(batch, 8)).toBe(3);
    expect(device.takeRingRead()).toBe(2 + 3 * 2 + (2 + (1 + 3) + 1) * 16);
    expect(device.takeRingWritten()).toBe(0);
    device.pushMany(batch);
    expect([device.takeRingRead(), device.takeRingWritten()]).toEqual([0, 3 * 8 + 2]);
    device.needInterrupt();
    expect([device.takeRingRead(), device.takeRingWritten()]).toEqual([2, 0]);
    device.enableNotify();
    expect([device.takeRingRead(), device.takeRingWritten()]).toEqual([2, 2]);
    device.disableNotify();
    expect([device.takeRingRead(), device.takeRingWritten()]).toEqual([0, 0]);
    expect(device.pending()).toBe(0);
    expect(device.takeRingRead()).toBe(2);
  });

  test('splits a segment where its mapping ends', () => {
    const { memory, ring, device, batch } = setUp(kind);
    ring.setDescriptor(1, { addr: BASE + 6 * PAGE - 4, len: 10 });
    ring.offer(1);
    expect(device.walk(batch, 1)).toBe(1);
    expect([...batch.length.slice(0, batch.start[1])]).toEqual([4, 6]);
    memory.write(BASE + 6 * PAGE, Uint8Array.of(42));
    expect(batch.memory[1]!.u8[batch.offset[1]]).toBe(42);
  });

  test('leaves out empty descriptors', () => {
    const { ring, device, batch } = setUp(kind);
    ring.setChain(0, [{ addr: UNMAPPED, len: 0 }, { addr: DATA, len: 3 }, { addr: UNMAPPED, len: 0, flags: WRITE }]);
    ring.offer(0);
    expect(device.walk(batch, 1)).toBe(1);
    expect([batch.readable(0), batch.writable(0), batch.start[1]]).toEqual([3, 0, 1]);
  });

  test('gives bus addresses when told not to translate segments', () => {
    const { ring, device, batch } = setUp(kind, 8, { raw: true });
    ring.setDescriptor(1, { addr: 0xdead_0000_beefn, len: 77 });
    ring.setDescriptor(2, { addr: DATA, len: 32, flags: INDIRECT });
    ring.setDescriptorAt(DATA, { addr: 0xffff_ffff_ffff_ffffn, len: 2, flags: WRITE | NEXT, next: 1 });
    ring.setDescriptorAt(DATA + 16, { addr: 3, len: 4, flags: WRITE });
    ring.offer(1, 2);
    expect(device.walk(batch, 2)).toBe(2);
    expect([batch.addrHi[0], batch.addrLo[0], batch.length[0], batch.memory[0]]).toEqual([0xdead, 0xbeef, 77, null]);
    expect([batch.addrHi[1], batch.addrLo[1], batch.split[1], batch.start[2]]).toEqual([0xffff_ffff, 0xffff_ffff, 1, 3]);
    expect(() => device.transmit({ frame: () => true }, 1)).toThrow(TypeError);
  });

  test('follows an indirect table, and the ring behind one unless that is descriptor 0', () => {
    const { ring, device, batch } = setUp(kind);
    ring.setDescriptor(3, { addr: DATA + 4, len: 32, flags: INDIRECT | NEXT, next: 5 });
    ring.setDescriptorAt(DATA + 4, { addr: DATA + 256, len: 1, flags: NEXT, next: 1 });
    ring.setDescriptorAt(DATA + 20, { addr: DATA + 257, len: 2 });
    ring.setDescriptor(5, { addr: DATA + 300, len: 3, flags: WRITE });
    ring.setDescriptor(4, { addr: DATA + 4, len: 32, flags: INDIRECT | NEXT, next: 0 });
    ring.offer(3, 4);
    expect(device.walk(batch, 2)).toBe(2);
    expect([...batch.length.slice(0, batch.start[2])]).toEqual([1, 2, 3, 1, 2]);
  });

  const bad: readonly [name: string, errno: number, rule: string, write: (ring: MockRing) => undefined][] = [
    ['a next out of range', EINVAL, 'vring.next-range', (r) => r.setDescriptor(0, { addr: DATA, len: 1, flags: NEXT, next: 8 })],
    ['a circle', ELOOP, 'vring.desc-loop', (r) => {
      r.setDescriptor(0, { addr: DATA, len: 1, flags: NEXT, next: 1 });
      r.setDescriptor(1, { addr: DATA, len: 1, flags: NEXT, next: 0 });
    }],
    ['a circle in a table', ELOOP, 'vring.desc-loop', (r) => {
      r.setDescriptor(0, { addr: DATA, len: 32, flags: INDIRECT });
      r.setDescriptorAt(DATA, { addr: DATA, len: 1, flags: NEXT, next: 1 });
      r.setDescriptorAt(DATA + 16, { addr: DATA, len: 1, flags: NEXT, next: 0 });
    }],
    ['a circle of tables', ELOOP, 'vring.desc-loop', (r) => {
      r.setDescriptor(0, { addr: DATA, len: 16, flags: INDIRECT | NEXT, next: 1 });
      r.setDescriptor(1, { addr: DATA, len: 16, flags: INDIRECT | NEXT, next: 1 });
      r.setDescriptorAt(DATA, { addr: DATA, len: 1 });
    }],
    ['a readable descriptor behind a writable one', EINVAL, 'vring.readable-after-writable', (r) =>
      r.setChain(0, [{ addr: DATA, len: 1, flags: WRITE }, { addr: DATA, len: 1 }])],
    ['a table of no length', EINVAL, 'vring.indirect-length', (r) => r.setDescriptor(0, { addr: DATA, len: 0, flags: INDIRECT })],
    ['a table that is not whole descriptors', EINVAL, 'vring.indirect-length', (r) =>
      r.setDescriptor(0, { addr: DATA, len: 17, flags: INDIRECT })],
    ['a table in a table', EINVAL, 'vring.nested-indirect', (r) => {
      r.setDescriptor(0, { addr: DATA, len: 16, flags: INDIRECT });
      r.setDescriptorAt(DATA, { addr: DATA, len: 16, flags: INDIRECT });
    }],
    ['a next outside its table', EINVAL, 'vring.next-range', (r) => {
      r.setDescriptor(0, { addr: DATA, len: 16, flags: INDIRECT });
      r.setDescriptorAt(DATA, { addr: DATA, len: 1, flags: NEXT, next: 1 });
    }],
    ['a table nobody mapped', EINVAL, 'vring.unmapped', (r) => r.setDescriptor(0, { addr: UNMAPPED, len: 16, flags: INDIRECT })],
    ['a table mapped in part', EINVAL, 'vring.unmapped', (r) => {
      r.setDescriptor(0, { addr: UNMAPPED - 8, len: 16, flags: INDIRECT });
    }],
    ['a segment nobody mapped', EINVAL, 'vring.unmapped', (r) => r.setDescriptor(0, { addr: UNMAPPED, len: 1 })],
    ['a segment mapped in part', EINVAL, 'vring.unmapped', (r) => r.setDescriptor(0, { addr: UNMAPPED - 1, len: 2 })],
    ['a segment past the last address', EINVAL, 'vring.unmapped', (r) =>
      r.setDescriptor(0, { addr: 0xffff_ffff_ffff_fff0n, len: 32 })],
    ['a write where only reading is allowed', EPERM, 'vring.permission', (r) =>
      r.setDescriptor(0, { addr: READ_ONLY, len: 1, flags: WRITE })],
  ];

  test.each(bad)('refuses %s, takes it out, and goes on behind it', (_name, errno, rule, write) => {
    covers('2.6.5');
    const { memory, ring, device, batch } = setUp(kind);
    write(ring);
    ring.setDescriptor(7, { addr: DATA, len: 9 });
    ring.offer(0, 7);
    const before = memory.refusals;
    expect(device.walk(batch, 8)).toBe(-errno);
    expect([device.rule, device.lastHead]).toEqual([rule, 0]);
    expect(device.reason).not.toBe('');
    expect(memory.refusals - before).toBe(rule === 'vring.unmapped' || rule === 'vring.permission' ? 1 : 0);
    expect(device.walk(batch, 8)).toBe(1);
    expect(batch.head[0]).toBe(7);
    expect(ring.usedIndex).toBe(0);
  });

  test.each(bad)('meets %s behind a good chain in the next call, and looks its address up once', (_name, errno, rule, write) => {
    const { memory, ring, device, batch } = setUp(kind);
    write(ring);
    ring.setDescriptor(7, { addr: DATA, len: 9 });
    ring.offer(7, 0);
    expect(device.walk(batch, 8)).toBe(1);
    expect(device.walk(batch, 8)).toBe(-errno);
    expect(device.rule).toBe(rule);
    expect(memory.refusals).toBeLessThanOrEqual(1);
    expect(device.walk(batch, 8)).toBe(0);
  });

  test('stays at an index out of range, as vringh does', () => {
    covers('2.6.5');
    const { ring, device, batch } = setUp(kind);
    ring.offer(8);
    for (let i = 0; i < 2; i++) {
      expect(device.walk(batch, 8)).toBe(-EINVAL);
      expect(device.reason).toBe('Guest says index 8 > 8 is available');
    }
    expect(device.save()).toEqual({ lastAvail: 0, lastUsed: 0 });
  });

  test('replays slots when the available index jumps, as vringh does', () => {
    const { ring, device, batch } = setUp(kind);
    ring.setDescriptor(0, { addr: DATA, len: 1 });
    ring.setAvailIndex(20);
    expect(device.walk(batch, 100)).toBe(8);
    expect(device.pending()).toBe(12);
  });

  test('refuses a jump of the available index when asked to', () => {
    const { ring, device, batch } = setUp(kind, 8, { checkIndexJump: true });
    ring.setAvailIndex(9);
    expect(device.walk(batch, 100)).toBe(-EFAULT);
    expect(device.drain(100)).toBe(-EFAULT);
    expect(device.reason).toBe('Guest moved avail index from 0 to 9');
    ring.setAvailIndex(8);
    expect(device.walk(batch, 100)).toBe(8);
  });

  test('refuses a chain longer than it may be', () => {
    covers('2.6.5');
    const { ring, device, batch } = setUp(kind, 8, { maxChain: 2 });
    ring.setChain(0, [{ addr: DATA, len: 1 }, { addr: DATA, len: 1 }, { addr: DATA, len: 1 }]);
    ring.setDescriptor(5, { addr: DATA, len: 32, flags: INDIRECT });
    ring.setDescriptorAt(DATA, { addr: DATA, len: 1, flags: NEXT, next: 1 });
    ring.setDescriptorAt(DATA + 16, { addr: DATA, len: 1 });
    ring.setChain(3, [{ addr: DATA, len: 1 }, { addr: DATA, len: 1 }]);
    ring.offer(0, 5, 3);
    expect(device.walk(batch, 8)).toBe(-ENOBUFS);
    expect(device.walk(batch, 8)).toBe(-ENOBUFS);
    expect(device.walk(batch, 8)).toBe(1);
    expect(batch.head[0]).toBe(3);
  });

  test('stops in front of a chain its batch has no room for', () => {
    const { ring, device } = setUp(kind);
    const small = new ChainBatch(8, 3);
    ring.setChain(0, [{ addr: DATA, len: 1 }, { addr: DATA, len: 1 }]);
    ring.setChain(2, [{ addr: DATA, len: 1 }, { addr: DATA, len: 1 }]);
    ring.setChain(4, [{ addr: DATA, len: 1 }, { addr: DATA, len: 1 }, { addr: DATA, len: 1 }, { addr: DATA, len: 1 }]);
    ring.offer(0, 2, 4);
    expect(device.walk(small, 8)).toBe(1);
    expect(device.walk(small, 8)).toBe(1);
    expect(device.walk(small, 8)).toBe(-ENOBUFS);
    expect(device.walk(small, 8)).toBe(0);
  });

  test('takes a descriptor of the ring once, whatever the driver writes meanwhile', () => {
    const { ring, device, batch } = setUp(kind);
    ring.setDescriptor(0, { addr: DATA, len: 10 });
    ring.offer(0);
    device.walk(batch, 1);
    ring.setDescriptor(0, { addr: UNMAPPED, len: 1000 });
    expect([batch.length[0], batch.addrLo[0]]).toEqual([10, DATA >>> 0]);
  });

  test('notices that a mapping has gone', () => {
    const { memory, ring, device, batch } = setUp(kind);
    ring.setDescriptor(0, { addr: DATA, len: 10 });
    ring.offer(0);
    expect(device.walk(batch, 1)).toBe(1);
    memory.setPerm(3, 0);
    ring.offer(0, 0);
    expect(device.walk(batch, 1)).toBe(-EINVAL);
    memory.setPerm(3, VHOST_ACCESS_RW);
    expect(device.walk(batch, 1)).toBe(1);
  });

  test('puts back chains it has taken', () => {
    const { ring, device, batch } = setUp(kind);
    ring.setDescriptor(0, { addr: DATA, len: 10 });
    ring.setDescriptor(1, { addr: DATA, len: 11 });
    ring.offer(0, 1);
    expect(device.walk(batch, 2)).toBe(2);
    device.unpop(1);
    expect(device.pop(batch)).toBe(1);
    expect(batch.head[0]).toBe(1);
  });

  test('publishes used entries: one at a time, or a batch at once', () => {
    const { ring, device, batch } = setUp(kind);
    for (let i = 0; i < 3; i++) ring.setDescriptor(i, { addr: DATA, len: 10 + i, flags: WRITE });
    ring.offer(2, 0, 1);
    device.pop(batch);
    device.push(batch.head[0], 7);
    expect([ring.usedIndex, ring.usedEntry(0)]).toEqual([1, [2, 7]]);
    device.walk(batch, 8);
    batch.written.set([0xffff_ffff, 4]);
    device.pushMany(batch);
    expect([ring.usedIndex, ring.usedEntry(1), ring.usedEntry(2)]).toEqual([3, [0, 0xffff_ffff], [1, 4]]);
    device.walk(batch, 8);
    device.pushMany(batch);
    expect(ring.usedIndex).toBe(3);
  });

  test('wants an interrupt unless the driver has set NO_INTERRUPT', () => {
    covers('2.6.6');
    const { ring, device } = setUp(kind);
    device.push(0, 0);
    expect(device.needInterrupt()).toBe(true);
    ring.setAvailFlags(1);
    device.push(0, 0);
    expect(device.needInterrupt()).toBe(false);
  });

  test('wants an interrupt when the event index was passed', () => {
    covers('2.6.6');
    const { ring, device } = setUp(kind, 8, { eventIdx: true });
    ring.setAvailFlags(1); // means nothing now
    ring.setUsedEvent(1);
    device.push(0, 0);
    expect(device.needInterrupt()).toBe(false);
    device.push(0, 0);
    expect(device.needInterrupt()).toBe(true);
    expect(device.needInterrupt()).toBe(false);
    device.push(0, 0);
    expect(device.needInterrupt()).toBe(false);
    ring.setUsedEvent(5);
    for (let i = 0; i < 4; i++) device.push(0, 0);
    expect(device.needInterrupt()).toBe(true);
  });

  test('asks for kicks by the flag, or by the event index', () => {
    covers('2.6.6');
    const flag = setUp(kind);
    flag.device.disableNotify();
    expect(flag.ring.usedFlags).toBe(1);
    expect(flag.device.enableNotify()).toBe(true);
    expect(flag.ring.usedFlags).toBe(0);
    flag.ring.setAvailIndex(1);
    expect(flag.device.enableNotify()).toBe(false);

    const event = setUp(kind, 8, { eventIdx: true });
    event.ring.setDescriptor(0, { addr: DATA, len: 1 });
    event.ring.offer(0, 0, 0);
    event.device.walk(event.batch, 2);
    event.device.disableNotify();
    expect(event.device.enableNotify()).toBe(false);
    expect([event.ring.usedFlags, event.ring.availEvent]).toEqual([0, 2]);
    event.device.walk(event.batch, 2);
    expect(event.device.enableNotify()).toBe(true);
    expect(event.ring.availEvent).toBe(3);
  });

  test('goes on where another left off', () => {
    const { memory, ring, device, batch } = setUp(kind);
    ring.setDescriptor(0, { addr: DATA, len: 1 });
    ring.offer(0, 0, 0, 0, 0);
    device.walk(batch, 3);
    device.push(0, 0);
    const state = device.save();
    expect(state).toEqual({ lastAvail: 3, lastUsed: 1 });
    const other = openSplitDevice(ring, { translate: memory });
    expect(other instanceof SplitDevice).toBe(kind === 'fast');
    other.restore(state);
    expect(other.walk(batch, 8)).toBe(2);
    other.push(0, 9);
    expect([ring.usedIndex, ring.usedEntry(1)]).toEqual([2, [0, 9]]);
  });

  test('uses chains up unread', () => {
    const { ring, device } = setUp(kind);
    ring.setChain(0, [{ addr: DATA, len: 10 }, { addr: DATA, len: 3, flags: WRITE }]);
    ring.setDescriptor(2, { addr: DATA, len: 16, flags: INDIRECT });
    ring.setDescriptorAt(DATA, { addr: DATA + 64, len: 100 });
    ring.setDescriptor(3, { addr: UNMAPPED, len: 1 });
    ring.setDescriptor(4, { addr: DATA, len: 1000 });
    ring.offer(4, 0, 2, 3, 4, 4, 4);
    expect(device.drain(5)).toBe(3);
    expect(device.drainedBytes).toBe(1113);
    expect(device.drain(5)).toBe(-EINVAL);
    expect(device.drain(2)).toBe(2);
    expect(device.drain(2)).toBe(1);
    expect(device.drain(2)).toBe(0);
    expect(ring.usedIndex).toBe(6);
    expect([0, 1, 2, 3].map((slot) => ring.usedEntry(slot))).toEqual([[4, 0], [0, 0], [2, 0], [4, 0]]);
    expect(device.lastHead).toBe(4);
  });

  describe('transmit', () => {
    test('hands over frames piece by piece, and uses the chains up', () => {
      const { memory, ring, device } = setUp(kind);
      memory.write(DATA, Uint8Array.of(1, 2, 3, 4, 5, 6));
      ring.setChain(0, [{ addr: DATA, len: 2 }, { addr: DATA + 4, len: 2 }]);
      ring.setDescriptor(2, { addr: DATA + 1, len: 3 });
      ring.offer(0, 2);
      const frames: number[][] = [];
      const frame = (runs: Runs) => {
        const bytes: number[] = [];
        for (let r = 0; r < runs.count; r++) bytes.push(...runs.memory[r].u8.slice(runs.offset[r], runs.offset[r] + runs.length[r]));
        expect(bytes.length).toBe(runs.bytes);
        frames.push(bytes);
        return true;
      };
      expect(device.transmit({ frame }, 8)).toBe(2);
      expect(frames).toEqual([[1, 2, 5, 6], [2, 3, 4]]);
      expect([ring.usedIndex, ring.usedEntry(0), ring.usedEntry(1)]).toEqual([2, [0, 0], [2, 0]]);
      expect(device.transmit({ frame }, 8)).toBe(0);
    });

    test('leaves a frame the sink does not want, and all behind it', () => {
      const { ring, device } = setUp(kind);
      ring.setDescriptor(0, { addr: DATA, len: 1 });
      ring.offer(0, 0, 0, 0);
      let room = 2;
      const frame = () => room-- > 0;
      expect(device.transmit({ frame }, 8)).toBe(2);
      expect(ring.usedIndex).toBe(2);
      room = 0;
      expect(device.transmit({ frame }, 8)).toBe(0);
      room = 8;
      expect(device.transmit({ frame }, 8)).toBe(2);
      expect(device.pending()).toBe(0);
    });

    test('refuses a chain with a writable part', () => {
      covers('2.6.5');
      const { ring, device } = setUp(kind);
      ring.setDescriptor(0, { addr: DATA, len: 1 });
      ring.setChain(1, [{ addr: DATA, len: 1 }, { addr: DATA, len: 1, flags: WRITE }]);
      ring.offer(0, 1, 0);
      let frames = 0;
      const sink = { frame: () => ++frames > 0 };
      expect(device.transmit(sink, 8)).toBe(1);
      expect(device.transmit(sink, 8)).toBe(-EPROTO);
      expect([device.rule, device.reason, device.lastHead]).toEqual(['vring.unexpected-writable', 'Unexpected writable desc', 1]);
      expect(device.transmit(sink, 8)).toBe(1);
      expect([frames, ring.usedIndex]).toEqual([2, 2]);
    });

    test.each(bad)('meets %s behind a good frame in the next call, and looks its address up once', (_name, errno, rule, write) => {
      const { memory, ring, device } = setUp(kind);
      write(ring);
      ring.setDescriptor(7, { addr: DATA, len: 9 });
      ring.offer(7, 0, 7);
      const sink = { frame: () => true };
      expect(device.transmit(sink, 8)).toBe(1);
      expect(device.transmit(sink, 8)).toBe(-errno);
      expect([device.rule, device.lastHead]).toEqual([rule, 0]);
      expect(memory.refusals).toBeLessThanOrEqual(1);
      expect(device.transmit(sink, 8)).toBe(1);
      expect(ring.usedIndex).toBe(2);
    });

    test('looks frames up again when the sink changes the mappings', () => {
      const { memory, ring, device } = setUp(kind);
      ring.setDescriptor(0, { addr: DATA, len: 1 });
      ring.offer(0, 0, 0);
      const frame = () => {
        memory.setPerm(3, 0);
        return true;
      };
      expect(device.transmit({ frame }, 8)).toBe(1);
      expect(device.transmit({ frame }, 8)).toBe(-EINVAL);
    });
  });

  describe('receive', () => {
    function frameOf(memory: PagedMemory, ...pieces: number[][]) {
      const frame = new Runs(8);
      let at = 5 * PAGE + 512;
      for (const piece of pieces) {
        memory.memory.u8.set(piece, at);
        frame.add(memory.memory, at, piece.length);
        at += piece.length + 3;
      }
      return frame;
    }

    const count = (n: number, from = 1) => Array.from({ length: n }, (_, i) => from + i);

    test('puts a frame of several pieces into a chain of several segments', () => {
      const { memory, ring, device } = setUp(kind);
      ring.setChain(0, [{ addr: DATA, len: 4, flags: WRITE }, { addr: DATA + 100, len: 100, flags: WRITE }]);
      ring.offer(0);
      expect(device.receive(frameOf(memory, [1], [2, 3, 4, 5], [6, 7]), 0)).toBe(1);
      expect(ring.usedIndex).toBe(0);
      device.flush();
      expect([ring.usedIndex, ring.usedEntry(0)]).toEqual([1, [0, 7]]);
      expect([...memory.read(DATA, 5), ...memory.read(DATA + 100, 4)]).toEqual([1, 2, 3, 4, 0, 5, 6, 7, 0]);
    });

    test('writes num_buffers even where it straddles segments', () => {
      const { memory, ring, device } = setUp(kind);
      ring.setChain(0, [{ addr: DATA, len: 11, flags: WRITE }, { addr: DATA + 100, len: 1, flags: WRITE }]);
      ring.setDescriptor(2, { addr: DATA + 200, len: 8, flags: WRITE });
      ring.offer(0, 2);
      expect(device.receive(frameOf(memory, count(15)), RECEIVE_MERGEABLE)).toBe(2);
      device.flush();
      expect([...memory.read(DATA, 11), ...memory.read(DATA + 100, 1), ...memory.read(DATA + 200, 3)]).toEqual([...count(10), 2, 0, 13, 14, 15]);
      expect([ring.usedEntry(0), ring.usedEntry(1)]).toEqual([[0, 12], [2, 3]]);
    });

    test('says 0 when there are too few buffers, and leaves them', () => {
      const { memory, ring, device } = setUp(kind);
      ring.setDescriptor(0, { addr: DATA, len: 16, flags: WRITE });
      const frame = frameOf(memory, count(40));
      expect(device.receive(frame, RECEIVE_MERGEABLE)).toBe(0);
      ring.offer(0, 0);
      expect(device.receive(frame, RECEIVE_MERGEABLE)).toBe(0);
      ring.offer(0);
      expect(device.receive(frame, RECEIVE_MERGEABLE)).toBe(3);
      device.flush();
      expect([ring.usedIndex, ring.usedEntry(2)]).toEqual([3, [0, 8]]);
    });

    test('refuses a buffer too short, or cuts the frame when told to', () => {
      const { memory, ring, device } = setUp(kind);
      ring.setDescriptor(0, { addr: DATA, len: 4, flags: WRITE });
      ring.offer(0);
      const frame = frameOf(memory, count(6));
      expect(device.receive(frame, 0)).toBe(-EMSGSIZE);
      device.flush();
      expect([ring.usedIndex, device.pending()]).toEqual([0, 1]);
      expect(device.receive(frame, RECEIVE_TRUNCATE)).toBe(1);
      device.flush();
      expect([...memory.read(DATA, 5), ...ring.usedEntry(0)]).toEqual([1, 2, 3, 4, 0, 0, 4]);
    });

    test('refuses a chain with a readable part', () => {
      covers('2.6.5');
      const { memory, ring, device } = setUp(kind);
      ring.setDescriptor(0, { addr: DATA, len: 16, flags: WRITE });
      ring.setChain(1, [{ addr: DATA, len: 4 }, { addr: DATA, len: 16, flags: WRITE }]);
      ring.offer(0, 1, 0, 0);
      const frame = frameOf(memory, count(20));
      expect(device.receive(frame, RECEIVE_MERGEABLE)).toBe(-EPROTO);
      expect([device.lastHead, device.rule, device.reason, device.pending()]).toEqual([1, 'vring.unexpected-readable', 'Unexpected readable desc', 2]);
      device.flush();
      expect([ring.usedIndex, ring.usedEntry(0)]).toEqual([1, [0, 0]]); // the good one before it goes back empty
      expect(device.receive(frame, RECEIVE_MERGEABLE)).toBe(2);
      device.flush();
      expect([ring.usedIndex, ring.usedEntry(1), ring.usedEntry(2)]).toEqual([3, [0, 16], [0, 4]]);
    });

    test('gives buffers before a bad one back empty', () => {
      const { memory, ring, device } = setUp(kind);
      ring.setDescriptor(0, { addr: DATA, len: 8, flags: WRITE });
      ring.setDescriptor(1, { addr: UNMAPPED, len: 8, flags: WRITE });
      ring.offer(0, 1, 0);
      expect(device.receive(frameOf(memory, count(14)), RECEIVE_MERGEABLE)).toBe(-EINVAL);
      device.flush();
      expect([device.lastHead, device.pending(), ring.usedIndex, ring.usedEntry(0)]).toEqual([1, 1, 1, [0, 0]]);
      expect(memory.refusals).toBe(1);
    });

    test('does not use one buffer twice for a frame when the index has jumped', () => {
      const { memory, ring, device } = setUp(kind);
      for (let i = 0; i < 8; i++) ring.setDescriptor(i, { addr: DATA, len: 4, flags: WRITE });
      ring.setAvailIndex(60);
      expect(device.receive(frameOf(memory, count(36)), RECEIVE_MERGEABLE)).toBe(0);
      expect(device.pending()).toBe(60);
    });

    test('tells the dirty log every write', () => {
      const { memory, ring, device } = setUp(kind, 4);
      const marks: [number, number, number][] = [];
      device.setDirtyLog({ mark: (lo, hi, len) => void marks.push([hi, lo, len]) }, ring.used >>> 0, 0);
      for (let i = 0; i < 3; i++) device.push(0, 0);
      marks.length = 0;
      ring.setAvailIndex(0);
      ring.setDescriptor(0, { addr: DATA, len: 10, flags: WRITE });
      ring.offer(0, 0, 0);
      expect(device.receive(frameOf(memory, count(25)), RECEIVE_MERGEABLE)).toBe(3);
      device.flush();
      const used = ring.used >>> 0;
      expect(marks).toEqual([
        [1, DATA >>> 0, 10], [1, DATA >>> 0, 10], [1, DATA >>> 0, 5],
        [0, used + 4 + 8 * 3, 8], [0, used + 4, 16], [0, used + 2, 2],
      ]);
    });
  });
});

test('a gathered device says when the ring itself is not mapped', () => {
  const memory = new PagedMemory({ pageSize: 4096, base: 0, places: [0, 1] });
  const ring = new MockRing(memory, 0, 256);
  const device = new GatheredSplitDevice(ring, { translate: memory });
  const batch = new ChainBatch(1, 1);
  ring.offer(0);
  memory.setPerm(0, 0);
  expect(device.walk(batch, 1)).toBe(-EFAULT);
  expect(device.reason).toBe('Failed to access descriptor table');
  memory.setPerm(1, 0);
  expect(device.walk(batch, 1)).toBe(-EFAULT);
  expect(device.reason).toBe('Failed to access avail idx');
  expect([device.pending(), device.needInterrupt(), device.enableNotify()]).toEqual([0, false, true]);
  device.push(0, 0);
  expect(device.reason).toBe('Failed to access used idx');
});

test('openSplitDevice takes the fast device only where the ring is in one piece and aligned', () => {
  const memory = new PagedMemory({ pageSize: 256, base: 0, places: [0, 1, 2, 3, 5, 4], merge: true });
  const ring = (at: number) => openSplitDevice(new MockRing(memory, at, 8), { translate: memory });
  expect(ring(0)).toBeInstanceOf(SplitDevice);
  expect(ring(900)).toBeInstanceOf(GatheredSplitDevice);
  expect(openSplitDevice({ num: 8, desc: 2, avail: 512, used: 640 }, { translate: memory })).toBeInstanceOf(GatheredSplitDevice);
  expect(openSplitDevice({ num: 8, desc: 0, avail: 512, used: 640 }, { translate: memory })).toBeInstanceOf(SplitDevice);
  expect(openSplitDevice({ num: 8, desc: 1 << 20, avail: 512, used: 640 }, { translate: memory })).toBeInstanceOf(GatheredSplitDevice);
  expect(() => openSplitDevice({ num: 7, desc: 0, avail: 512, used: 640 }, { translate: memory })).toThrow(RangeError);
  expect(() => openSplitDevice({ num: 8, desc: -1, avail: 512, used: 640 }, { translate: memory })).toThrow(RangeError);
});

test('a batch holds between 1 and 65535 chains', () => {
  expect(() => new ChainBatch(0, 1)).toThrow(RangeError);
  expect(() => new ChainBatch(65536, 1)).toThrow(RangeError);
  expect(() => new ChainBatch(1, -1)).toThrow(RangeError);
  expect(new ChainBatch(1, 0).maxSegments).toBe(0);
});
