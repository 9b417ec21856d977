/** Finds where a virtqueue's areas lie, through the function's mappings. */
import type { RamRegion } from '@vdpalab/abi';
import { VHOST_ACCESS_RO, VHOST_ACCESS_WO, vring_avail_size, vring_desc_table_size, vring_packed_desc_event, vring_used_size } from '@vdpalab/uapi';
import { ExtentCache, packedAreasFault, splitAreasFault } from '@vdpalab/vring';
import type { PackedRingAreas, RingArea, SplitRingAddresses, SplitRingAreas, Translate } from '@vdpalab/vring';

const TWO_32 = 0x1_0000_0000;

/** Where three areas lie; `null` is in no one place. */
type Places = readonly [RingArea | null, RingArea | null, RingArea | null];

/** A packed ring's areas: its events lie where a split ring has its available and its used ring. */
export function packedAreasOf({ num, desc, avail, used }: SplitRingAreas): PackedRingAreas {
  return { num, desc, driver: avail, device: used };
}

/** Looks areas up; the answer to the last question is in its fields. */
export class RingFinder {
  /** Where the areas lie when each is in one piece and aligned for words; `null` when one is not. */
  areas: SplitRingAreas | null = null;
  /** Whether a part of an area is a mirror of remote memory. */
  remote = false;
  /** Whether a part of an area is memory that another process has mapped too. */
  shared = false;
  /** Why an area is out of reach. */
  fault = '';
  private readonly extent: ExtentCache;

  constructor(translate: Translate) {
    this.extent = new ExtentCache(translate);
  }

  /** Look all areas up, to their last byte. @returns false when one is out of reach, and {@link fault} says which */
  find(addresses: SplitRingAddresses, packed: boolean): boolean {
    this.areas = null;
    this.remote = false;
    this.shared = false;
    this.fault = '';
    const areas = packed ? this.packed(addresses) : this.split(addresses);
    if (this.fault !== '') return false;
    const [desc, avail, used] = areas;
    if (desc !== null && avail !== null && used !== null) {
      const found = { num: addresses.num, desc, avail, used };
      if ((packed ? packedAreasFault(packedAreasOf(found)) : splitAreasFault(found)) === null) this.areas = found;
    }
    return true;
  }

  private split({ num, desc, avail, used }: SplitRingAddresses): Places {
    return [
      this.area('descriptor table', desc, vring_desc_table_size(num), VHOST_ACCESS_RO),
      this.area('available ring', avail, vring_avail_size(num), VHOST_ACCESS_RO),
      this.area('used ring', used, vring_used_size(num), VHOST_ACCESS_WO),
    ];
  }

  private packed({ num, desc, avail, used }: SplitRingAddresses): Places {
    const event = vring_packed_desc_event.size;
    this.area('descriptor ring', desc, vring_desc_table_size(num), VHOST_ACCESS_RO);
    return [
      this.area('descriptor ring', desc, vring_desc_table_size(num), VHOST_ACCESS_WO),
      this.area('driver event', avail, event, VHOST_ACCESS_RO),
      this.area('device event', used, event, VHOST_ACCESS_WO),
    ];
  }

  /** Nothing once another was out of reach. */
  private area(name: string, address: number, size: number, want: number): RingArea | null {
    const { extent } = this;
    if (this.fault !== '') return null;
    let place: RingArea | null = null;
    for (let done = 0; done < size; ) {
      const at = address + done;
      const n = Number.isSafeInteger(at) ? extent.reach(at >>> 0, Math.floor(at / TWO_32), size - done, want) : 0;
      if (n === 0) {
        this.fault = `${name}: ${size} bytes at 0x${address.toString(16)}, of which ${done} can be reached`;
        return null;
      }
      const { remote, kind } = extent.memory as RamRegion; // a port finds no other
      if (remote !== null) this.remote = true;
      if (kind === 'mapped') this.shared = true;
      if (n === size) place = { memory: extent.memory!, offset: extent.at }; // reach found bytes there
      done += n;
    }
    return place;
  }
}
