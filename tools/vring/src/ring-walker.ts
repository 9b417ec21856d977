/**
 * Chains in plain form: what a split and a packed virtqueue have in common, one descriptor at a time.
 *
 * Indirect tables and segments are checked as Linux 6.1 `drivers/vhost/vringh.c` does, with two bounds it lacks: an
 * indirect table of length 0 is refused (EINVAL), and a chain is at most `maxChain` descriptors and segments (ENOBUFS).
 */
import { EINVAL, ELOOP, ENOBUFS, EPERM, VHOST_ACCESS_RO, VHOST_ACCESS_WO } from '@vdpalab/uapi';
import type { ChainBatch } from './batch.ts';
import { Moves } from './moves.ts';
import { DESC_SIZE } from './defs.ts';
import { DeviceCore } from './device-core.ts';
import { DEVICE } from './fused/state.ts';

/** Bytes of an indirect table that are pulled at once, when it is remote. */
const TABLE_PULL = 4096;

/** Takes chains. */
export abstract class RingWalker extends DeviceCore {
  // One descriptor, as loadDesc and loadTableDesc leave it.
  protected dLo = 0;
  protected dHi = 0;
  protected dLen = 0;
  /** Lower half of its last word: the flags, or in a packed ring the buffer id. */
  protected dLow = 0;
  /** Upper half of its last word: `next`, or in a packed ring the flags. */
  protected dHigh = 0;
  private readonly pulls = new Moves(false);
  private tableLo = 0;
  private tableHi = 0;
  /** Bytes from the start of the table that need not be pulled. */
  private tablePulled = 0;

  walk(batch: ChainBatch, budget: number): number {
    const taken = this.take(batch, budget, 0);
    if (taken > 0 && this.data.remote) this.pullReadable(batch, taken);
    return taken;
  }

  pop(batch: ChainBatch): number {
    return this.walk(batch, 1);
  }

  push(head: number, length: number): undefined {
    this.complete(head, length);
    this.flush();
  }

  pushMany(batch: ChainBatch): undefined {
    if (this.data.remote) this.pushWritten(batch);
    for (let c = 0; c < batch.count; c++) this.complete(batch.head[c], batch.written[c]);
    this.flush();
  }

  /** Something is to be pulled: what was written to the mirror and not pushed yet would be lost. */
  protected beforePull(): undefined {
    if (this.pushes.count > 0) this.pushes.flush();
  }

  /** Pull what the device may read of chains just taken. */
  protected pullReadable(batch: ChainBatch, chains: number): undefined {
    const { pulls } = this;
    for (let c = 0; c < chains; c++) {
      for (let s = batch.start[c]; s < batch.split[c]; s++) {
        const remote = batch.memory[s]?.remote ?? null;
        if (remote === null) continue;
        if (pulls.count === 0) this.beforePull();
        pulls.add(remote, batch.offset[s], batch.length[s]);
      }
    }
    pulls.flush();
  }

  /** Have what the device wrote into the chains of a batch pushed. */
  protected pushWritten(batch: ChainBatch): undefined {
    for (let c = 0; c < batch.count; c++) {
      let left = batch.written[c];
      for (let s = batch.split[c]; s < batch.start[c + 1] && left > 0; s++) {
        const length = Math.min(left, batch.length[s]);
        const remote = batch.memory[s]?.remote ?? null;
        if (remote !== null) this.pushes.add(remote, batch.offset[s], length);
        left -= length;
      }
    }
  }

  /** How many chains to look for, at most `budget`; 0 when there are none, or a negative errno. */
  protected abstract ready(budget: number): number;

  /** Take the next chain into slot `c`. @returns 0, 1 when there is none, or a negative errno about it */
  protected abstract chain(batch: ChainBatch, c: number): number;

  /** Put back the last `chains` chains taken, none of which was pushed. */
  abstract unpop(chains: number): undefined;

  /** Write a used entry, unpublished. */
  protected abstract complete(head: number, length: number): undefined;

  /** Publish what {@link complete} wrote. */
  abstract flush(): undefined;

  /**
   * `walk` for a bulk call that has taken `done` chains before: then a bad chain is not the first, and stays.
   *
   * @returns chains taken, or a negative errno about the first
   */
  protected take(batch: ChainBatch, budget: number, done: number): number {
    batch.clear();
    const want = this.ready(Math.min(budget, batch.maxChains));
    if (want <= 0) return want;
    this.data.refresh();
    this.tables.refresh();
    let c = 0;
    while (c < want) {
      const from = c;
      c = this.walkOn(batch, c, want);
      batch.count = c;
      if (c > from) {
        this.n[DEVICE.lastHead] = batch.head[c - 1];
        continue;
      }
      const err = this.takeInto(batch, c, done + c === 0);
      if (err < 0) return err;
      if (err > 0) break;
      c++;
    }
    return c;
  }

  /** Let loops for the usual add chains to those a batch has, where there are any. @returns how many it has then, `want` at most */
  protected walkOn(_batch: ChainBatch, from: number, _want: number): number {
    return from;
  }

  /** Take one chain into slot `c`. @returns 0, a negative errno when it is bad and the first, 1 when there is none or it is bad and stays */
  protected takeInto(batch: ChainBatch, c: number, first: boolean): number {
    const before = this.lastAvail;
    const err = this.chain(batch, c);
    if (err > 0) return err;
    if (err !== 0 && !first) {
      this.data.hold();
      this.tables.hold();
      this.lastAvail = before;
      return 1;
    }
    this.data.settle();
    this.tables.settle();
    if (err === 0) batch.count = c + 1;
    return err;
  }

  /** Check the current descriptor as one of an indirect table, and turn to that table. */
  protected enterTable(): number {
    const length = this.dLen;
    if (length === 0 || length % DESC_SIZE !== 0) {
      return this.fail(EINVAL, 'vring.indirect-length', `Strange indirect len ${length}`);
    }
    this.tableLo = this.dLo;
    this.tableHi = this.dHi;
    this.pullTable(length);
    return 0;
  }

  /** Pull the first part of the current table, all of any usual one. */
  private pullTable(length: number): undefined {
    const { tables } = this;
    this.tablePulled = 0;
    const want = tables.remote ? Math.min(length, TABLE_PULL) : DESC_SIZE;
    const n = tables.reach(this.tableLo, this.tableHi, want, VHOST_ACCESS_RO);
    if (n === 0) {
      tables.hold(); // the descriptor to come meets the same refusal, and reports it
      return;
    }
    const { remote } = tables.memory!;
    this.tablePulled = n;
    if (remote === null) return;
    this.beforePull();
    remote.pull(tables.at, n);
  }

  /** Take a snapshot of a descriptor of the current indirect table, which may lie in pieces. @returns 0 or a negative errno */
  protected loadTableDesc(index: number): number {
    const { tables } = this;
    const at = this.tableLo + index * DESC_SIZE;
    let lo = at >>> 0;
    let hi = this.tableHi + (at > 0xffff_ffff ? 1 : 0);
    let word = 0;
    let here = index * DESC_SIZE + DESC_SIZE <= this.tablePulled ? DESC_SIZE : 0; // bytes that need not be pulled
    for (let b = 0; b < DESC_SIZE; b++) {
      if (hi > 0xffff_ffff) return this.unmapped(EINVAL, lo, hi);
      const n = tables.reach(lo, hi, DESC_SIZE - b, VHOST_ACCESS_RO);
      if (n === 0) return this.unmapped(tables.error, lo, hi);
      if (here === 0) {
        this.pullHere(n);
        here = n;
      }
      here--;
      word = (word >>> 8) | (tables.memory!.u8[tables.at] << 24);
      if (b === 3) this.dLo = word >>> 0;
      else if (b === 7) this.dHi = word >>> 0;
      else if (b === 11) this.dLen = word >>> 0;
      lo = (lo + 1) >>> 0;
      if (lo === 0) hi++;
    }
    this.dLow = word & 0xffff;
    this.dHigh = word >>> 16;
    return 0;
  }

  private pullHere(length: number): undefined {
    const { memory, at } = this.tables;
    if (memory!.remote === null) return;
    this.beforePull();
    memory!.remote.pull(at, length);
  }

  /** Add the current descriptor's segments to a batch. @returns the next free segment, or a negative errno */
  protected segments(batch: ChainBatch, from: number, first: number, write: boolean): number {
    const { data } = this;
    const want = write ? VHOST_ACCESS_WO : VHOST_ACCESS_RO;
    let s = from;
    let lo = this.dLo;
    let hi = this.dHi;
    let left = this.dLen;
    while (left > 0) {
      if (s >= batch.maxSegments || s - first >= this.maxChain) return this.tooLong();
      let reach = left;
      batch.memory[s] = null;
      batch.offset[s] = 0;
      if (!this.raw) {
        if (hi > 0xffff_ffff) return this.unmapped(EINVAL, lo, hi);
        reach = data.reach(lo, hi, left, want);
        if (reach === 0) return this.unmapped(data.error, lo, hi);
        batch.memory[s] = data.memory;
        batch.offset[s] = data.at;
      }
      batch.addrLo[s] = lo;
      batch.addrHi[s] = hi;
      batch.length[s] = reach;
      s++;
      left -= reach;
      const end = lo + reach;
      lo = end >>> 0;
      if (end > 0xffff_ffff) hi++;
    }
    return s;
  }

  protected loop(max: number): number {
    return this.fail(ELOOP, 'vring.desc-loop', `Descriptor loop: more than ${max} descriptors`);
  }

  protected tooLong(): number {
    return this.fail(ENOBUFS, 'vring.chain-length', `Chain of more than ${this.maxChain} segments, or than there is room for`);
  }

  protected unmapped(errno: number, lo: number, hi: number): number {
    const address = `0x${((BigInt(hi) << 32n) | BigInt(lo)).toString(16)}`;
    if (errno === EPERM) return this.fail(EPERM, 'vring.permission', `${address}: access not permitted`);
    return this.fail(errno, 'vring.unmapped', `${address}: not mapped`);
  }
}
