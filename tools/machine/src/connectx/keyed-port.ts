/** A queue's way to memory: its key on the chip, then the function's requester id at the platform IOMMU. */
import { EINVAL, EPERM } from '@vdpalab/uapi';
import type { DirtyLog, Extent, Translate } from '@vdpalab/vring';
import type { DmaPort } from '../dma.ts';
import type { KeyFault, MemoryKeys } from './memory-keys.ts';

const TWO_32 = 0x1_0000_0000;

/** Whose keys these are, and who hears of refusals. */
export interface KeyedSite {
  readonly keys: MemoryKeys;
  readonly vhca: number;
  readonly fault: (fault: KeyFault) => undefined;
}

/** Both stages as one translation. */
export class KeyedPort implements Translate, DirtyLog {
  key: number;
  private readonly site: KeyedSite;
  private readonly port: DmaPort;

  constructor(site: KeyedSite, key: number, port: DmaPort) {
    this.site = site;
    this.key = key;
    this.port = port;
  }

  /** Both only rise, so that the sum changes when either does. */
  get generation(): number {
    return this.site.keys.generation + this.port.generation;
  }

  lookup(addrLo: number, addrHi: number, len: number, write: boolean, out: Extent): number {
    const { keys, vhca, fault } = this.site;
    const address = addrHi * TWO_32 + addrLo;
    if (!keys.resolve(vhca, this.key, address, write)) {
      fault({ stage: 'key', vhca, key: this.key, address, by: keys.refusedKey, write, reason: keys.reason });
      return keys.reason === 'permission' ? EPERM : EINVAL;
    }
    const { bus, before, after, access } = keys;
    const error = this.port.lookup(bus >>> 0, Math.floor(bus / TWO_32), Math.min(len, after), write, out);
    if (error !== 0) return error;
    // What both stages map in one piece around the address.
    const below = bus - (out.baseHi * TWO_32 + out.baseLo);
    const ahead = out.length - below;
    const back = Math.min(below, before);
    const base = address - back;
    out.offset += below - back;
    out.length = back + Math.min(ahead, after);
    out.baseLo = base >>> 0;
    out.baseHi = Math.floor(base / TWO_32);
    out.perm &= access;
    return 0;
  }

  /** Bytes that a queue moved itself. */
  count(read: number, written: number): undefined {
    this.port.count(read, written);
  }

  /** This port as the log of a queue's writes while DMA is observed. */
  get log(): DirtyLog | null {
    return this.port.log === null ? null : this;
  }

  /** A queue wrote here: the observer is told where on the bus. */
  mark(addrLo: number, addrHi: number, len: number): undefined {
    const { keys, vhca } = this.site;
    for (let at = addrHi * TWO_32 + addrLo, left = len; left > 0; ) {
      if (!keys.resolve(vhca, this.key, at, true)) return;
      const n = Math.min(left, keys.after);
      this.port.observe(keys.bus, n, true);
      at += n;
      left -= n;
    }
  }
}
