/**
 * Device side of a split virtqueue in somebody else's memory, of which there is a mirror here.
 *
 * Where a look at the index finds new entries, their part of the available ring is pulled, and a stretch of descriptors
 * when the first of them is needed: the walk sees a copy that cannot change under it. Used entries are pushed together,
 * then their index. In memory that is not remote nothing is pulled or pushed, and this is {@link GatheredSplitDevice}.
 */
import { VHOST_ACCESS_RO, vring_used_size } from '@vdpalab/uapi';
import { DESC_SIZE, usedEventAt } from './defs.ts';
import type { RingState } from './ring.ts';
import type { SplitRingAddresses } from './split-device-gathered.ts';
import { GatheredSplitDevice } from './split-device-gathered.ts';
import type { RingDeviceOptions } from './device-core.ts';

/** Descriptors pulled at once: 4 KiB of them take hardly longer than one. */
const STRETCH = 256;
const STRETCH_SHIFT = 8;
/** Bytes of a used entry, and of an index. */
const USED_SIZE = 8;
const INDEX_SIZE = 2;

/** Device side of a split virtqueue, through its mappings and mirrors. */
export class MirroredSplitDevice extends GatheredSplitDevice {
  /** The available index as it was pulled last: entries before it are here. */
  private known = 0;
  /** Stretches of the descriptor table that were pulled since. */
  private readonly here: Uint8Array;
  /** Used entries that were written to the mirror only. */
  private unpushed = 0;

  /** @throws RangeError when the queue size or an address cannot be */
  constructor(addresses: SplitRingAddresses, options: RingDeviceOptions) {
    super(addresses, options);
    this.here = new Uint8Array(Math.ceil(addresses.num / STRETCH));
  }

  override pending(): number {
    if (this.ahead() === 0) this.look();
    return super.pending();
  }

  override enableNotify(): boolean {
    super.enableNotify();
    this.look();
    const index = this.loadAvailIndex();
    return index < 0 || index === this.lastAvail;
  }

  override restore(state: RingState): undefined {
    super.restore(state);
    this.known = this.lastAvail;
    this.unpushed = 0;
  }

  /** Look at the other side's index again when next asked for chains, even if some are left from the last look. */
  forget(): undefined {
    this.known = this.lastAvail;
  }

  protected override ready(budget: number): number {
    const ahead = this.ahead();
    if (ahead < Math.min(Math.max(budget, 1), this.num) || ahead > this.num) this.look();
    return super.ready(budget);
  }

  protected override beforePull(): undefined {
    super.beforePull();
    if (this.unpushed > 0) this.pushUsed();
  }

  protected override loadAvailFlags(): number {
    this.pullAvail(0, INDEX_SIZE);
    return super.loadAvailFlags();
  }

  protected override loadUsedEvent(): number {
    this.pullAvail(2 * usedEventAt(this.num), INDEX_SIZE);
    return super.loadUsedEvent();
  }

  protected override loadDesc(index: number): number {
    const stretch = index >> STRETCH_SHIFT;
    if (this.here[stretch] === 0) {
      this.here[stretch] = 1;
      this.beforePull();
      const first = stretch << STRETCH_SHIFT;
      this.desc.cache.pull(this.at.desc + first * DESC_SIZE, Math.min(STRETCH, this.num - first) * DESC_SIZE, VHOST_ACCESS_RO);
    }
    return super.loadDesc(index);
  }

  protected override storeUsed(slot: number, id: number, length: number): number {
    this.unpushed++;
    return super.storeUsed(slot, id, length);
  }

  protected override storeUsedIndex(index: number): number {
    this.pushUsed();
    const err = super.storeUsedIndex(index);
    this.used.cache.push(this.at.used + INDEX_SIZE, INDEX_SIZE);
    return err;
  }

  protected override storeUsedFlags(flags: number): number {
    const err = super.storeUsedFlags(flags);
    this.used.cache.push(this.at.used, INDEX_SIZE);
    return err;
  }

  protected override storeAvailEvent(index: number): number {
    const err = super.storeAvailEvent(index);
    this.used.cache.push(this.at.used + vring_used_size(this.num) - INDEX_SIZE, INDEX_SIZE);
    return err;
  }

  /** Entries known and not taken. */
  private ahead(): number {
    return (this.known - this.lastAvail) & 0xffff;
  }

  /** Pull the index, and the entries that are new. */
  private look(): undefined {
    this.pullAvail(INDEX_SIZE, INDEX_SIZE);
    const index = this.loadAvailIndex();
    if (index < 0) return;
    const from = this.lastAvail;
    this.known = index;
    const count = Math.min(this.ahead(), this.num);
    if (count === 0) return;
    this.here.fill(0);
    const first = from & (this.num - 1);
    const before = Math.min(count, this.num - first);
    this.pullAvail(4 + INDEX_SIZE * first, INDEX_SIZE * before);
    if (before < count) this.pullAvail(4, INDEX_SIZE * (count - before));
  }

  private pullAvail(offset: number, length: number): undefined {
    this.beforePull();
    this.avail.cache.pull(this.at.avail + offset, length, VHOST_ACCESS_RO);
  }

  /** Push the used entries written last: one stretch, two where they wrap. */
  private pushUsed(): undefined {
    const count = Math.min(this.unpushed, this.num);
    this.unpushed = 0;
    if (count === 0) return;
    const first = (this.lastUsed - count) & (this.num - 1);
    const before = Math.min(count, this.num - first);
    this.used.cache.push(this.at.used + 4 + USED_SIZE * first, USED_SIZE * before);
    if (before < count) this.used.cache.push(this.at.used + 4, USED_SIZE * (count - before));
  }
}
