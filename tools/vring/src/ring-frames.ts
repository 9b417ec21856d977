/** Frames over a virtqueue in plain form: chains up, frames out of them, frames into them. */
import { EMSGSIZE, EPROTO } from '@vdpalab/uapi';
import { ChainBatch, Runs } from './batch.ts';
import { Copier } from './copy.ts';
import { DEVICE } from './fused/state.ts';
import type { RingMemory } from './memory.ts';
import type { FrameSink } from './ring.ts';
import { RECEIVE_MERGEABLE, RECEIVE_TRUNCATE } from './ring.ts';
import type { RingDeviceOptions } from './device-core.ts';
import { RingWalker } from './ring-walker.ts';

/** Chains looked at together. */
const BURST = 32;
/** `num_buffers` of `struct virtio_net_hdr_v1`: after flags (1), gso_type (1) and four u16 (8). */
export const NUM_BUFFERS_AT = 10;

/** A device side less where its ring lies. */
export abstract class RingFrames extends RingWalker {
  /** The chain at hand. */
  protected readonly single: ChainBatch;
  private readonly several: ChainBatch;
  private readonly runs: Runs;
  protected readonly copier = new Copier();
  /** The last `send` ended the call. */
  private refused = false;
  /** What {@link touch} has read: said somewhere, or it would not be read. */
  protected touched = 0;
  // Chains of the frame being received.
  private readonly heads: Int32Array;
  private readonly lengths: Float64Array;
  // The frame being received: the run the next byte is in, and how far into it.
  private run = 0;
  private into = 0;
  // Where the two bytes of num_buffers went, which may be in two segments.
  private countMemory: RingMemory | null = null;
  private countMemoryHigh: RingMemory | null = null;
  private countAt = 0;
  private countAtHigh = 0;

  constructor(num: number, options: RingDeviceOptions) {
    super(num, options);
    this.single = new ChainBatch(1, this.maxChain);
    this.several = new ChainBatch(BURST, this.maxChain + 4 * BURST);
    this.runs = new Runs(this.maxChain);
    this.heads = new Int32Array(num);
    this.lengths = new Float64Array(num);
  }

  drain(budget: number): number {
    if (budget <= 0) return 0;
    const want = this.ready(budget);
    if (want <= 0) return want;
    this.data.refresh();
    this.tables.refresh();
    let done = 0;
    let err = 0;
    while (done < want) {
      const drained = this.drainOn(want - done);
      done += drained;
      if (drained > 0) continue;
      err = this.drainOne(done);
      if (err <= 0) break;
      done++;
    }
    return this.finish(done, err);
  }

  /** Let loops for the usual use chains up, where there are any. @returns how many, `want` at most */
  protected drainOn(_want: number): number {
    return 0;
  }

  transmit(sink: FrameSink, budget: number): number {
    this.refuseRaw();
    const { several } = this;
    let done = 0;
    for (;;) {
      const taken = done < budget ? this.take(several, Math.min(budget - done, BURST), done) : 0;
      if (taken <= 0) return this.finish(done, taken);
      if (this.data.remote) this.pullReadable(several, taken);
      const sent = this.send(sink, several, taken, done);
      if (sent < 0) return this.finish(done, sent);
      done += sent;
      if (this.refused) return this.finish(done, 0);
    }
  }

  receive(frame: Runs, flags: number): number {
    this.refuseRaw();
    const { single, heads, lengths } = this;
    const before = this.lastAvail;
    const mergeable = (flags & RECEIVE_MERGEABLE) !== 0;
    this.run = 0;
    this.into = 0;
    this.countMemory = null;
    this.countMemoryHigh = null;
    let left = frame.bytes;
    let chains = 0;
    do {
      const got = chains < this.num ? this.takeWritable() : 0;
      if (got < 0) return this.giveUp(chains, got);
      if (got === 0) {
        this.lastAvail = before;
        return 0;
      }
      const written = this.scatter(frame, left, chains === 0);
      left -= written;
      if (this.data.remote) {
        single.written[0] = written;
        this.pushWritten(single);
      }
      heads[chains] = single.head[0];
      lengths[chains] = written;
      chains++;
      if (!mergeable && left > 0) {
        if ((flags & RECEIVE_TRUNCATE) === 0) {
          this.lastAvail = before;
          return -EMSGSIZE;
        }
        left = 0;
      }
    } while (left > 0);
    if (mergeable) {
      this.storeCount(chains);
      if (this.data.remote && chains > 1) this.pushCount();
    }
    for (let c = 0; c < chains; c++) this.complete(heads[c], lengths[c]);
    return chains;
  }

  /** Take one chain that is all writable. @returns 1, 0 when there is none, or a negative errno */
  private takeWritable(): number {
    const { single } = this;
    const got = this.walk(single, 1);
    if (got <= 0 || single.split[0] === 0) return got;
    return this.fail(EPROTO, 'vring.unexpected-readable', 'Unexpected readable desc');
  }

  /** A frame met a bad chain: that one is taken out, those before it go back to the driver empty. */
  private giveUp(chains: number, err: number): number {
    for (let c = 0; c < chains; c++) this.complete(this.heads[c], 0);
    return err;
  }

  /** Hand the chains of a batch to `sink`; what it does not take goes back. @returns frames taken, or a negative errno */
  private send(sink: FrameSink, batch: ChainBatch, taken: number, done: number): number {
    const { runs } = this;
    const { translate } = this.data;
    const { generation } = translate;
    this.refused = false;
    if (this.threaded) this.touch(batch, taken);
    for (let c = 0; c < taken; c++) {
      const end = batch.start[c + 1];
      if (batch.split[c] < end) return this.sendNot(taken, c, done);
      runs.clear();
      for (let s = batch.start[c]; s < end; s++) runs.add(batch.memory[s]!, batch.offset[s], batch.length[s]);
      if (!sink.frame(runs)) {
        this.refused = true;
        this.unpop(taken - c);
        return c;
      }
      this.complete(batch.head[c], 0);
      // A mapping has changed meanwhile: what was looked up may not hold for the rest.
      if (translate.generation !== generation) {
        this.unpop(taken - c - 1);
        return c + 1;
      }
    }
    return taken;
  }

  /** Have the processor fetch the ends of all frames from another's cache at once, rather than wait for one after the other. */
  private touch({ memory, offset, length, start }: ChainBatch, taken: number): undefined {
    let sum = 0;
    for (let c = 0; c < taken; c++) {
      const s = start[c];
      if (s === start[c + 1]) continue;
      const { u8 } = memory[s]!;
      sum += u8[offset[s]] + u8[offset[s] + length[s] - 1];
    }
    this.touched = sum;
  }

  /** Chain `c` of a batch has a writable part: taken out when it is the first of the call, else left for the next. */
  private sendNot(taken: number, c: number, done: number): number {
    const first = done + c === 0;
    this.unpop(first ? taken - 1 : taken - c);
    this.refused = !first;
    if (!first) return c;
    this.n[DEVICE.lastHead] = this.several.head[c];
    return this.fail(EPROTO, 'vring.unexpected-writable', 'Unexpected writable desc');
  }

  /** Use one chain up. @returns 1, 0 when there is none or a later one is bad, or a negative errno */
  protected drainOne(done: number): number {
    const { single } = this;
    const got = this.take(single, 1, done);
    if (got <= 0) return got;
    this.drainedBytes += single.readable(0) + single.writable(0);
    this.complete(single.head[0], 0);
    return 1;
  }

  /** Publish, and give what a bulk call gives. */
  protected finish(done: number, err: number): number {
    if (done === 0) return err;
    this.flush();
    return done;
  }

  private refuseRaw(): undefined {
    if (this.raw) throw new TypeError('split device: frames need translated segments');
  }

  /** Copy the next part of a frame into the chain at hand. @returns bytes copied */
  private scatter(frame: Runs, left: number, first: boolean): number {
    const { single } = this;
    const end = single.start[1];
    let done = 0;
    for (let s = single.split[0]; s < end && done < left; s++) {
      const memory = single.memory[s]!;
      const room = Math.min(single.length[s], left - done);
      if (first && done <= NUM_BUFFERS_AT + 1) this.noteCount(memory, single.offset[s], done, room);
      this.fill(frame, memory, single.offset[s], room);
      if (this.dirty !== null) this.dirty.mark(single.addrLo[s], single.addrHi[s], room);
      done += room;
    }
    return done;
  }

  private fill(frame: Runs, memory: RingMemory, offset: number, room: number): undefined {
    for (let filled = 0; filled < room; ) {
      const { run, into } = this;
      const length = frame.length[run];
      const n = Math.min(length - into, room - filled);
      this.copier.copy(memory, offset + filled, frame.memory[run], frame.offset[run] + into, n);
      filled += n;
      this.run = into + n === length ? run + 1 : run;
      this.into = into + n === length ? 0 : into + n;
    }
  }

  private noteCount(memory: RingMemory, offset: number, done: number, room: number): undefined {
    const low = NUM_BUFFERS_AT - done;
    const high = low + 1;
    if (low >= 0 && low < room) {
      this.countMemory = memory;
      this.countAt = offset + low;
    }
    if (high >= 0 && high < room) {
      this.countMemoryHigh = memory;
      this.countAtHigh = offset + high;
    }
  }

  private pushCount(): undefined {
    if (this.countMemory === null || this.countMemoryHigh === null) return;
    const { countMemory: low, countMemoryHigh: high } = this;
    if (low.remote !== null) this.pushes.add(low.remote, this.countAt, 1);
    if (high.remote !== null) this.pushes.add(high.remote, this.countAtHigh, 1);
  }

  private storeCount(chains: number): undefined {
    if (this.countMemory === null || this.countMemoryHigh === null) return;
    this.countMemory.u8[this.countAt] = chains;
    this.countMemoryHigh.u8[this.countAtHigh] = chains >>> 8;
  }
}

