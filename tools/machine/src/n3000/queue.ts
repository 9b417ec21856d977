/** One virtqueue of a function: its registers, and the ring behind them. */
import type { AtomicWork } from '@vdpalab/abi';
import { VIRTIO_MSI_NO_VECTOR, vring_avail_size, vring_desc_table_size, vring_used_size } from '@vdpalab/uapi';
import { SplitDevice, isSplitQueueSize, splitAreasFault } from '@vdpalab/vring';
import type { DirtyLog, RingArea, RingState, SplitRingAreas } from '@vdpalab/vring';
import type { DmaPort } from '../dma.ts';

const TWO_32 = 0x1_0000_0000;

/** A queue's address registers, in the order they lie: low and high of each area. */
export const ADDRESS_REGISTERS = ['descLo', 'descHi', 'availLo', 'availHi', 'usedLo', 'usedHi'] as const;

/** What the ring is run with; fixed while the queue is enabled. */
export interface RingSettings {
  readonly port: DmaPort;
  readonly eventIdx: boolean;
  /** Where writes are logged; asked when the ring is opened. */
  readonly log: () => DirtyLog | null;
}

/** One virtqueue. */
export class VirtQueue {
  readonly index: number;
  /** Largest size, in descriptors. */
  readonly max: number;
  /** Size the driver chose, in descriptors. */
  size: number;
  /** Size the driver asked for and the queue cannot have. */
  refusedSize: number | null = null;
  /** MSI-X vector, or VIRTIO_MSI_NO_VECTOR. */
  vector = VIRTIO_MSI_NO_VECTOR;
  enabled = false;
  descLo = 0;
  descHi = 0;
  availLo = 0;
  availHi = 0;
  usedLo = 0;
  usedHi = 0;
  /** Work that serves the queue. */
  readonly work: AtomicWork;
  /** Why the ring could not be opened. */
  fault = '';
  /** Whether notifications were last asked for; they are at first. */
  private asksForKicks = true;
  private saved: RingState = { lastAvail: 0, lastUsed: 0 };
  private settings: RingSettings | null = null;
  private areas: SplitRingAreas | null = null;
  private ring: SplitDevice | null = null;
  private generation = 0;

  constructor(index: number, max: number, work: AtomicWork) {
    this.index = index;
    this.max = max;
    this.size = max;
    this.work = work;
  }

  /** Where the queue is in its rings, or will start. */
  get state(): RingState {
    return this.ring === null ? this.saved : this.ring.save();
  }

  /** Set where the queue will start; nothing while it is enabled. */
  set state(state: RingState) {
    if (!this.enabled) this.saved = state;
  }

  /** A write to the size register. Refused sizes are remembered: the queue cannot be enabled with one. */
  setSize(size: number): undefined {
    if (this.enabled) return;
    this.refusedSize = isSplitQueueSize(size) && size <= this.max ? null : size;
    if (this.refusedSize === null) this.size = size;
  }

  /** Start: the ring is opened when it is first needed. */
  enable(settings: RingSettings): undefined {
    this.settings = settings;
    this.enabled = true;
  }

  /** Stop; the state stays. */
  disable(): undefined {
    this.saved = this.state;
    this.enabled = false;
    this.ring = null;
    this.areas = null;
    this.settings = null;
    this.asksForKicks = true;
  }

  /** All registers as at power-on. */
  reset(): undefined {
    this.disable();
    this.saved = { lastAvail: 0, lastUsed: 0 };
    this.size = this.max;
    this.refusedSize = null;
    this.vector = VIRTIO_MSI_NO_VECTOR;
    for (const name of ADDRESS_REGISTERS) this[name] = 0;
  }

  /**
   * The ring, translated anew when a mapping has gone since.
   *
   * @returns `null` when it cannot be reached; {@link fault} says why
   */
  open(): SplitDevice | null {
    const { settings } = this;
    if (settings === null) return null;
    if (this.ring !== null && this.generation === settings.port.generation) return this.ring;
    return this.translate(settings);
  }

  /** Log writes from now on as the settings say. */
  relog(): undefined {
    if (this.ring !== null && this.settings !== null) this.ring.setDirtyLog(this.settings.log(), this.usedLo, this.usedHi);
  }

  /** Ask for kicks, or for none while work is due anyway. @returns false when a chain slipped in */
  askForKicks(wanted: boolean): boolean {
    const { ring, settings } = this;
    if (ring === null || settings === null) return true;
    if (!settings.eventIdx && wanted === this.asksForKicks) return ring.pending() === 0;
    this.asksForKicks = wanted;
    const quiet = wanted ? ring.enableNotify() : ring.disableNotify() === undefined;
    const log = settings.log();
    if (log !== null) this.markNotify(log, settings.eventIdx);
    return quiet;
  }

  /** The device wrote avail_event, at the used ring's end, or the used ring's flags. */
  private markNotify(log: DirtyLog, eventIdx: boolean): undefined {
    const at = this.usedLo + (eventIdx ? vring_used_size(this.size) - 2 : 0);
    log.mark(at >>> 0, this.usedHi + (at >= TWO_32 ? 1 : 0), 2);
  }

  private translate({ port, eventIdx, log }: RingSettings): SplitDevice | null {
    const num = this.size;
    const { generation } = port;
    const desc = this.area(port, 'descriptor table', this.descLo, this.descHi, vring_desc_table_size(num), false);
    const avail = desc === null ? null : this.area(port, 'available ring', this.availLo, this.availHi, vring_avail_size(num), false);
    const used = avail === null ? null : this.area(port, 'used ring', this.usedLo, this.usedHi, vring_used_size(num), true);
    if (desc === null || avail === null || used === null) return this.close();
    const areas = { num, desc, avail, used };
    if (this.ring === null || this.areas === null || !sameAreas(this.areas, areas)) {
      this.fault = splitAreasFault(areas) ?? '';
      if (this.fault !== '') return this.close();
      const ring = new SplitDevice(areas, { translate: port, eventIdx, checkIndexJump: true });
      ring.restore(this.state);
      ring.setDirtyLog(log(), this.usedLo, this.usedHi);
      this.ring = ring;
      this.areas = areas;
    }
    this.generation = generation;
    return this.ring;
  }

  private close(): null {
    this.saved = this.state;
    this.ring = null;
    this.areas = null;
    return null;
  }

  private area(port: DmaPort, name: string, lo: number, hi: number, length: number, write: boolean): RingArea | null {
    const area = port.area(hi * TWO_32 + lo, length, write);
    if (area === null) this.fault = `${name}: ${length} bytes at 0x${hi.toString(16)}${lo.toString(16).padStart(8, '0')} not reached`;
    return area;
  }
}

function sameAreas(a: SplitRingAreas, b: SplitRingAreas): boolean {
  const same = (x: RingArea, y: RingArea): boolean => x.memory === y.memory && x.offset === y.offset;
  return same(a.desc, b.desc) && same(a.avail, b.avail) && same(a.used, b.used);
}
