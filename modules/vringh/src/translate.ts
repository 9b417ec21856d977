/** From IOVAs to RAM through a vhost IOTLB. Mirrors `iotlb_translate` in `drivers/vhost/vringh.c` (Linux 6.1). */
import type { Machine } from '@vdpalab/abi';
import { EINVAL, EPERM, VHOST_ACCESS_RO, VHOST_ACCESS_WO } from '@vdpalab/uapi';
import type { VhostIotlb, VhostIotlbSymbols } from '@vdpalab/vhost-iotlb';
import type { Extent, Translate } from '@vdpalab/vring';

/** Longest extent given at once, in bytes: both ends of it fit in 32 bits. */
const EXTENT_MAX = 2 ** 31;

/** What translating takes. */
export interface TranslateSymbols extends Pick<VhostIotlbSymbols, 'vhost_iotlb_itree_first'> {
  readonly machine: Pick<Machine, 'ram'>;
}

/** The mappings of one table, which may be exchanged. */
export class IotlbTranslate implements Translate {
  readonly #k: TranslateSymbols;
  #iotlb: VhostIotlb | null = null;
  /** Generations of tables that were here before. */
  #past = 0;

  constructor(k: TranslateSymbols) {
    this.#k = k;
  }

  get generation(): number {
    return this.#past + (this.#iotlb?.generation ?? 0) + this.#k.machine.ram.generation;
  }

  /** Use another table: what was found in the old one is stale. */
  set(iotlb: VhostIotlb): void {
    this.#past += (this.#iotlb?.generation ?? 0) + 1;
    this.#iotlb = iotlb;
  }

  lookup(addrLo: number, addrHi: number, _len: number, write: boolean, out: Extent): number {
    const address = (BigInt(addrHi) << 32n) | BigInt(addrLo);
    const map = this.#iotlb === null ? null : this.#k.vhost_iotlb_itree_first(this.#iotlb, address, address);
    if (map === null) return EINVAL;
    if ((map.perm & (write ? VHOST_ACCESS_WO : VHOST_ACCESS_RO)) === 0) return EPERM;
    const pa = Number(map.addr + address - map.start);
    const region = this.#k.machine.ram.find(pa, 1);
    if (region === null) return EINVAL; // registers and holes are no memory
    out.baseLo = addrLo;
    out.baseHi = addrHi;
    out.length = Math.min(Number(map.last - address) + 1, region.base + region.size - pa, EXTENT_MAX);
    out.perm = map.perm;
    out.memory = region;
    out.offset = pa - region.base;
    return 0;
  }
}
