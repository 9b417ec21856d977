/** What a mirrored device pulls and pushes: as little as it can, and nothing less. */
import { EMSGSIZE, VRING_DESC_F_INDIRECT, VRING_DESC_F_WRITE } from '@vdpalab/uapi';
import { expect, test } from 'vitest';
import { ChainBatch, MirroredSplitDevice, RECEIVE_MERGEABLE, RegionTranslate, Runs, ringMemory } from './index.ts';
import { Mirror, MockRing } from './mock/index.ts';

const SIZE = 0x4000;
const NUM = 8;
const TABLE = 0x2000;
const DATA = 0x3000;

/** A ring in far memory, a device on its mirror. */
function bench(lost: number, eventIdx: boolean) {
  const far = new Uint8Array(SIZE);
  const mirror = new Mirror(far);
  mirror.lost = lost;
  const bytes = {
    read: (at: number, length: number) => far.slice(at, at + length),
    write: (at: number, data: Uint8Array) => void far.set(data, at) as undefined,
  };
  const ring = new MockRing(bytes, 0, NUM);
  const device = new MirroredSplitDevice(ring, { eventIdx, translate: new RegionTranslate([{ base: 0, memory: mirror.memory }]) });
  return { far, mirror, ring, device };
}

/** A day of a queue: frames out, plain and from a table, frames in, a command, and all that is said of kicks and interrupts. */
function day(lost: number, eventIdx: boolean) {
  const { far, mirror, ring, device } = bench(lost, eventIdx);
  const seen: unknown[] = [];
  const frames: string[] = [];
  const transmit = () => device.transmit({
    frame: (runs) => {
      const parts = Array.from({ length: runs.count }, (_, r) => Buffer.from(runs.memory[r].u8.slice(runs.offset[r], runs.offset[r] + runs.length[r])));
      frames.push(Buffer.concat(parts).toString('hex'));
      return true;
    },
  }, 8);
  device.disableNotify();
  seen.push(ring.usedFlags);
  // Out: one descriptor, a chain of two, a table of two.
  far.set([1, 2, 3, 4, 5, 6, 7, 8], DATA);
  ring.setDescriptor(0, { addr: DATA, len: 3 });
  ring.setChain(1, [{ addr: DATA + 3, len: 2 }, { addr: DATA + 5, len: 1 }]);
  ring.setDescriptorAt(TABLE, { addr: DATA + 6, len: 1, flags: 1, next: 1 });
  ring.setDescriptorAt(TABLE + 16, { addr: DATA + 7, len: 1 });
  ring.setDescriptor(3, { addr: TABLE, len: 32, flags: VRING_DESC_F_INDIRECT });
  ring.offer(0, 1, 3);
  seen.push(transmit(), ring.usedIndex);
  ring.setUsedEvent(2);
  seen.push(device.needInterrupt(), device.enableNotify(), ring.usedFlags, ring.availEvent);
  // In: one descriptor, then a frame that takes two.
  ring.setDescriptor(4, { addr: DATA + 0x100, len: 64, flags: VRING_DESC_F_WRITE });
  ring.setDescriptor(5, { addr: DATA + 0x200, len: 16, flags: VRING_DESC_F_WRITE });
  ring.setDescriptor(6, { addr: DATA + 0x300, len: 16, flags: VRING_DESC_F_WRITE });
  ring.offer(4, 5, 6);
  const source = ringMemory(new SharedArrayBuffer(32));
  source.u8.forEach((_, i) => { source.u8[i] = 0x80 + i; });
  const frame = new Runs(1);
  frame.add(source, 0, 24);
  seen.push(device.receive(frame, RECEIVE_MERGEABLE), device.receive(frame, RECEIVE_MERGEABLE));
  device.flush();
  seen.push(ring.usedIndex);
  ring.setAvailFlags(1);
  seen.push(device.needInterrupt());
  // A command: read, answered.
  far.set([9], DATA + 0x400);
  ring.setChain(0, [{ addr: DATA + 0x400, len: 1 }, { addr: DATA + 0x401, len: 1, flags: VRING_DESC_F_WRITE }]);
  seen.push(device.pending());
  ring.offer(0);
  const batch = new ChainBatch(4, 8);
  seen.push(device.walk(batch, 4));
  if (batch.count > 0 && batch.memory[1] !== null) {
    const answer = batch.memory[1].u8;
    answer[batch.offset[1]] = batch.memory[0]!.u8[batch.offset[0]] + 1;
    batch.written[0] = 1;
    device.pushMany(batch);
  }
  seen.push(frames, ring.usedIndex, Array.from({ length: NUM }, (_, i) => ring.usedEntry(i)), Buffer.from(far).toString('hex'));
  return { seen: JSON.stringify(seen), moves: mirror.moves };
}

test.each([false, true])('every pull and every push that moves a byte is needed (event index: %s)', (eventIdx) => {
  const { seen, moves } = day(-1, eventIdx);
  expect(moves).toBeGreaterThan(15);
  expect(JSON.parse(seen)[1]).toBe(3);
  for (let lost = 0; lost < moves; lost++) {
    const without = day(lost, eventIdx);
    // A chain behind good ones that makes no sense is looked at again, which makes its lost pull good.
    if (without.moves === moves) expect(without.seen, `move ${lost}`).not.toBe(seen);
  }
});

test('a driver that changes a descriptor after the device took it changes nothing', () => {
  const { far, ring, device } = bench(-1, false);
  far.set([1, 2], DATA);
  ring.setDescriptor(0, { addr: DATA, len: 2 });
  ring.offer(0);
  const batch = new ChainBatch(1, 4);
  device.pop(batch);
  far[DATA] = 99;
  ring.setDescriptor(0, { addr: 0xffff_ffff, len: 1 });
  expect([...batch.memory[0]!.u8.slice(batch.offset[0], batch.offset[0] + batch.length[0])]).toEqual([1, 2]);
  device.unpop(1);
  expect(device.pop(batch)).toBe(1);
  expect(batch.length[0]).toBe(2);
});

test('what a frame that did not fit has written is pushed by the next flush, though nothing is used', () => {
  const { far, ring, device } = bench(-1, false);
  ring.setDescriptor(0, { addr: DATA, len: 1, flags: VRING_DESC_F_WRITE });
  ring.offer(0);
  const source = ringMemory(new SharedArrayBuffer(2));
  source.u8.set([7, 8]);
  const frame = new Runs(1);
  frame.add(source, 0, 2);
  expect(device.receive(frame, 0)).toBe(-EMSGSIZE);
  device.flush();
  expect([far[DATA], ring.usedIndex]).toEqual([7, 0]);
});
