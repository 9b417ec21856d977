/**
 * The one door through which devices reach memory: requester id (and PASID), platform IOMMU, RAM.
 *
 * Writes into the interrupt message window become interrupts. What is refused is logged, what passes is counted.
 */
import type { IommuFault, RamRegion, Scheduler, Trace } from '@vdpalab/abi';
import { EFAULT, EINVAL, EPERM, VHOST_ACCESS_RO, VHOST_ACCESS_RW, VHOST_ACCESS_WO } from '@vdpalab/uapi';
import { ExtentCache } from '@vdpalab/vring';
import type { DirtyLog, Extent, RingArea, Translate } from '@vdpalab/vring';
import type { Counters } from './counters.ts';
import type { DeviceTlb, IommuEntry } from './iommu/entry.ts';
import type { RadixTable } from './iommu/table.ts';
import type { PlatformIommu } from './iommu/unit.ts';
import { isMessageAddress } from './irqchip.ts';
import type { MessageIrqChip } from './irqchip.ts';
import { PAGE_SIZE } from './memory-map.ts';
import type { PhysicalMemory } from './ram.ts';

const TWO_32 = 0x1_0000_0000;
const PAGE_MASK = PAGE_SIZE - 1;
/** Copies up to this many bytes are cheaper as a loop. */
const LOOP_BYTES = 64;

/** Hears of every DMA access, with its physical address: the oracle of dirty logs. */
export type DmaObserver = (rid: number, pa: number, len: number, write: boolean) => undefined;

/** What the ports of one machine share. */
export interface DmaDoor {
  readonly sched: Scheduler;
  readonly ram: PhysicalMemory;
  /** `null` when the machine has none: addresses are physical. */
  readonly iommu: PlatformIommu | null;
  readonly irq: MessageIrqChip;
  readonly trace: Trace;
  readonly counters: Counters;
  observer: DmaObserver | null;
}

/**
 * A requester's way to memory.
 *
 * Ring walkers use it as their {@link Translate} and then touch RAM themselves; they report what they moved by
 * {@link count}, and by {@link mark} while the door is observed. Everything else uses {@link read} and {@link write}.
 */
export class DmaPort implements Translate, DirtyLog, DeviceTlb {
  /** Requester id: bus << 8 | devfn. */
  readonly rid: number;
  readonly pasid: number | null;
  generation = 1;
  /** Bytes read from RAM through this port. */
  bytesRead = 0;
  /** Bytes written to RAM through this port. */
  bytesWritten = 0;
  /** Refused accesses of this port. */
  faults = 0;
  private readonly door: DmaDoor;
  private readonly entry: IommuEntry | null;
  private readonly extent: ExtentCache;
  /** The table and the region of the last lookup, until something changes. */
  private table: RadixTable | null = null;
  private region: RamRegion | null = null;
  private closed = false;
  /** Whether lookups that fail are accesses, to be logged. */
  private quiet = false;

  /** Ports are made by the machine, which keeps one for each requester. @param bypass whether addresses are physical, IOMMU or not */
  constructor(door: DmaDoor, rid: number, pasid: number | null, bypass = false) {
    this.door = door;
    this.rid = rid;
    this.pasid = pasid;
    this.entry = door.iommu === null || bypass ? null : door.iommu.connect(rid, pasid, this);
    this.extent = new ExtentCache(this);
  }

  /**
   * Find the mapping of an address; a refusal is a fault, logged.
   *
   * @param len bytes the caller would like, a hint
   * @returns 0, or EINVAL when nothing is mapped there, EPERM when the access is not permitted
   */
  lookup(addrLo: number, addrHi: number, len: number, write: boolean, out: Extent): number {
    const { table, region } = this;
    // A small page that the IOTLB knows, in the region used last: most lookups. Message addresses are never there.
    if (table !== null && region !== null && (addrLo & PAGE_MASK) + len <= PAGE_SIZE) {
      const { iotlb } = table;
      if (iotlb.probe(addrLo, addrHi) && (iotlb.prot & (write ? VHOST_ACCESS_WO : VHOST_ACCESS_RO)) !== 0) {
        const offset = iotlb.targetHi * TWO_32 + iotlb.targetLo - region.base;
        if (offset >= 0 && offset < region.size) {
          out.baseLo = (addrLo & ~PAGE_MASK) >>> 0;
          out.baseHi = addrHi;
          out.length = PAGE_SIZE;
          out.perm = iotlb.prot;
          out.memory = region;
          out.offset = offset;
          return 0;
        }
      }
    }
    return this.lookupSlowly(addrLo, addrHi, len, write, out);
  }

  private lookupSlowly(addrLo: number, addrHi: number, len: number, write: boolean, out: Extent): number {
    if (this.closed) return EINVAL;
    const address = addrHi * TWO_32 + addrLo;
    if (isMessageAddress(address)) return this.refuse(address, write, 'blocked', EINVAL);
    const to = this.entry === null ? 'identity' : this.entry.to;
    if (to === null) return this.refuse(address, write, 'no-entry', EINVAL);
    if (to === 'blocked') return this.refuse(address, write, 'blocked', EINVAL);
    if (to === 'identity') {
      const region = this.door.ram.find(address, 1);
      return region === null ? this.abort() : fill(out, region.base, region.base, region.size, VHOST_ACCESS_RW, region);
    }
    const table = to as RadixTable; // the unit attaches no other
    if (!table.resolve(addrLo, addrHi, len)) return this.refuse(address, write, 'not-present', EINVAL);
    if ((table.hitProt & (write ? VHOST_ACCESS_WO : VHOST_ACCESS_RO)) === 0) {
      return this.refuse(address, write, 'permission', EPERM);
    }
    const region = this.door.ram.find(table.hitPa + (address - table.hitIova), 1);
    if (region === null) return this.abort();
    this.table = table;
    this.region = region;
    return fill(out, table.hitIova, table.hitPa, table.hitLength, table.hitProt, region);
  }

  /**
   * Where a ring area lies, for views over it.
   *
   * @returns `null` when the range is refused or not contiguous in one region
   */
  area(iova: number, len: number, write: boolean): RingArea | null {
    const out = { baseLo: 0, baseHi: 0, length: 0, perm: 0, memory: null, offset: 0 } as Extent;
    if (!Number.isSafeInteger(iova) || iova < 0) return null;
    if (this.lookup(iova >>> 0, Math.floor(iova / TWO_32), len, write, out) !== 0) return null;
    const into = iova - (out.baseHi * TWO_32 + out.baseLo);
    if (out.memory === null || into + len > out.length) return null;
    return { memory: out.memory, offset: out.offset + into };
  }

  /**
   * Read memory.
   *
   * @param iova bus address
   * @param into takes `len` bytes from its start; all ones from the first refused byte on
   * @returns false when a part was refused
   */
  read(iova: number, len: number, into: Uint8Array): boolean {
    return this.move(iova, len, into, false);
  }

  /**
   * Write memory, or fire an interrupt when the address is in the message window.
   *
   * @returns false when a part was refused; what lies before it is written
   */
  write(iova: number, bytes: Uint8Array): boolean {
    if (isMessageAddress(iova)) {
      if (bytes.length !== 4) {
        this.refuse(iova, true, 'blocked', EINVAL);
        return false;
      }
      return this.message(iova, (bytes[0]! | (bytes[1]! << 8) | (bytes[2]! << 16) | (bytes[3]! << 24)) >>> 0);
    }
    return this.move(iova, bytes.length, bytes, true);
  }

  /**
   * Write an interrupt message, as an MSI-X table entry has it: a 32-bit write.
   *
   * @returns false when it was refused
   */
  message(address: number, data: number): boolean {
    if (!isMessageAddress(address)) {
      const bytes = Uint8Array.of(data, data >>> 8, data >>> 16, data >>> 24);
      return this.move(address, 4, bytes, true);
    }
    if (this.closed) return false;
    const outcome = this.door.irq.deliver(this.rid, address, data);
    if (outcome === 'refused') this.refuse(address, true, 'blocked', EINVAL);
    return outcome !== 'refused';
  }

  /** Count bytes that a ring walker moved itself. */
  count(read: number, written: number): undefined {
    this.bytesRead += read;
    this.bytesWritten += written;
    this.door.counters.dmaRead += read;
    this.door.counters.dmaWritten += written;
  }

  /** This port as the log of a ring walker's writes while the door is observed, else `null`. Ask when a queue starts. */
  get log(): DirtyLog | null {
    return this.door.observer === null ? null : this;
  }

  /** A ring walker wrote here itself: tell the observer. */
  mark(addrLo: number, addrHi: number, len: number): undefined {
    this.observe(addrHi * TWO_32 + addrLo, len, true);
  }

  /** A ring walker read or wrote here itself: tell the observer. */
  observe(iova: number, len: number, write: boolean): undefined {
    const { observer } = this.door;
    if (observer === null) return;
    const { extent } = this;
    this.quiet = true;
    for (let at = iova, left = len; left > 0; ) {
      const n = extent.reach(at >>> 0, Math.floor(at / TWO_32), left, write ? VHOST_ACCESS_WO : VHOST_ACCESS_RO);
      if (n === 0) break;
      observer(this.rid, (extent.memory as RamRegion).base + extent.at, n, write);
      at += n;
      left -= n;
    }
    this.quiet = false;
  }

  /** Forget what was cached: a mapping went away. */
  invalidate(): undefined {
    this.generation++;
    this.table = null;
    this.region = null;
    this.extent.drop();
  }

  /** The device is gone: nothing passes any more. */
  close(): undefined {
    if (this.closed) return;
    this.closed = true;
    this.invalidate();
    if (this.entry !== null) this.door.iommu?.disconnect(this.entry);
  }

  private move(iova: number, len: number, bytes: Uint8Array, write: boolean): boolean {
    if (!Number.isSafeInteger(iova) || iova < 0 || len > bytes.length) {
      throw new RangeError(`DMA of ${len} bytes at ${iova} with a buffer of ${bytes.length}`);
    }
    const { extent, door } = this;
    const want = write ? VHOST_ACCESS_WO : VHOST_ACCESS_RO;
    let done = 0;
    while (done < len) {
      const at = iova + done;
      const n = extent.reach(at >>> 0, Math.floor(at / TWO_32), len - done, want);
      if (n === 0) break;
      const memory = extent.memory!; // reach found bytes there
      const { remote } = memory;
      if (write) {
        copy(memory.u8, extent.at, bytes, done, n);
        remote?.push(extent.at, n);
      } else {
        remote?.pull(extent.at, n);
        copy(bytes, done, memory.u8, extent.at, n);
      }
      door.observer?.(this.rid, (memory as RamRegion).base + extent.at, n, write);
      done += n;
    }
    if (write) this.count(0, done);
    else this.count(done, 0);
    if (door.trace.enabled) door.trace.emit('dma', { rid: this.rid, iova, len: done, write });
    if (done === len) return true;
    if (!write) bytes.fill(0xff, done, len);
    return false;
  }

  private abort(): number {
    if (!this.quiet) this.door.counters.aborts++;
    return EFAULT;
  }

  private refuse(iova: number, write: boolean, reason: IommuFault['reason'], err: number): number {
    if (this.quiet) return err;
    const { door } = this;
    if (door.iommu === null) return this.abort();
    this.faults++;
    door.counters.faults++;
    const outer = door.sched.cause;
    if (door.trace.enabled) {
      door.sched.cause = door.trace.emit('iommu-fault', { rid: this.rid, iova, write, reason });
    }
    door.iommu.fault({ rid: this.rid, pasid: this.pasid, iova, write, reason, at: door.sched.now });
    door.sched.cause = outer;
    return err;
  }
}

/** Describe a mapping, cut to the region its addressed byte lies in. */
function fill(out: Extent, iova: number, pa: number, length: number, perm: number, region: RamRegion): number {
  const skip = Math.max(region.base - pa, 0);
  const base = iova + skip;
  out.baseLo = base >>> 0;
  out.baseHi = Math.floor(base / TWO_32);
  out.offset = pa + skip - region.base;
  out.length = Math.min(length - skip, region.size - out.offset);
  out.perm = perm;
  out.memory = region;
  return 0;
}

function copy(to: Uint8Array, toAt: number, from: Uint8Array, fromAt: number, n: number): undefined {
  if (n <= LOOP_BYTES) {
    for (let i = 0; i < n; i++) to[toAt + i] = from[fromAt + i]!;
    return;
  }
  to.set(new Uint8Array(from.buffer, from.byteOffset + fromAt, n), toAt);
}
