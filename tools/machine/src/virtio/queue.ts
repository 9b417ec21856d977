/** One virtqueue of a function: its registers, and the ring behind them. */
import type { AtomicWork } from '@vdpalab/abi';
import { VIRTIO_MSI_NO_VECTOR, vring_packed_desc_event, vring_used_size } from '@vdpalab/uapi';
import { GatheredPackedDevice, GatheredSplitDevice, MirroredSplitDevice, PACKED_START, PackedDevice, SplitDevice, isPackedQueueSize, isSplitQueueSize } from '@vdpalab/vring';
import type { DirtyLog, RingArea, RingDeviceOptions, RingState, SplitRingAddresses, SplitRingAreas, Translate } from '@vdpalab/vring';
import type { Watched } from '../sched/watches.ts';
import { RingFinder, packedAreasOf } from './ring-finder.ts';

const TWO_32 = 0x1_0000_0000;

/** A queue's address registers, in the order they lie: low and high of each area. */
export const ADDRESS_REGISTERS = ['descLo', 'descHi', 'availLo', 'availHi', 'usedLo', 'usedHi'] as const;

/** The device side of a queue: quick where the ring lies in one piece, slow where it does not, or is remote. */
export type DeviceRing = SplitDevice | GatheredSplitDevice | PackedDevice | GatheredPackedDevice;

/** A queue's way to memory: a requester's port, or one behind keys of the device's own. */
export interface RingPort extends Translate {
  /** Count bytes that a queue moved itself. */
  readonly count: (read: number, written: number) => undefined;
}

/** What the ring is run with; fixed while the queue is enabled. */
export interface RingSettings {
  readonly port: RingPort;
  readonly eventIdx: boolean;
  readonly packed: boolean;
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
  /** The queue as something to look at while its driver is busy, instead of having to be told. */
  readonly watched: Watched;
  /** Why the ring could not be opened. */
  fault = '';
  /** Whether the ring lies in memory of another process of the host, whose driver runs at the same time. */
  foreign = false;
  /** Whether notifications were last asked for; they are at first. */
  private asksForKicks = true;
  /** Where it will start; `null` at the start. */
  private saved: RingState | null = null;
  private settings: RingSettings | null = null;
  private finder: RingFinder | null = null;
  /** Where the ring lies; `null` when it is scattered. */
  private areas: SplitRingAreas | null = null;
  /** Whether a part of the ring is a mirror. */
  private remote = false;
  private ring: DeviceRing | null = null;
  private generation = 0;

  constructor(index: number, max: number, work: AtomicWork) {
    this.index = index;
    this.max = max;
    this.size = max;
    this.work = work;
    this.watched = { work, due: () => this.due(), watched: false, until: 0 };
  }

  /** Where the queue is in its rings, or will start. */
  get state(): RingState {
    const start = this.settings?.packed === true ? PACKED_START : 0;
    return this.ring?.save() ?? this.saved ?? { lastAvail: start, lastUsed: start };
  }

  /** Set where the queue will start; nothing while it is enabled. */
  set state(state: RingState) {
    if (!this.enabled) this.saved = state;
  }

  /** A write to the size register. Refused sizes are remembered: the queue cannot be enabled with one. */
  setSize(size: number, packed: boolean): undefined {
    if (this.enabled) return;
    const can = packed ? isPackedQueueSize(size) : isSplitQueueSize(size);
    this.refusedSize = can && size <= this.max ? null : size;
    if (this.refusedSize === null) this.size = size;
  }

  /** Start: the ring is opened when it is first needed. */
  enable(settings: RingSettings): undefined {
    this.settings = settings;
    this.finder = new RingFinder(settings.port);
    this.enabled = true;
  }

  /** Stop; the state stays. */
  disable(): undefined {
    this.saved = this.state;
    this.enabled = false;
    this.ring = null;
    this.areas = null;
    this.settings = null;
    this.finder = null;
    this.asksForKicks = true;
  }

  /** All registers as at power-on. */
  reset(): undefined {
    this.disable();
    this.saved = null;
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
  open(): DeviceRing | null {
    const { settings, finder } = this;
    if (settings === null || finder === null) return null;
    if (this.ring !== null && this.generation === settings.port.generation) return this.ring;
    return this.translate(settings, finder);
  }

  /** Count what the ring itself has cost since the last call: descriptors, entries, indices. */
  countRing(): undefined {
    const { ring, settings } = this;
    if (ring !== null && settings !== null) settings.port.count(ring.takeRingRead(), ring.takeRingWritten());
  }

  /** Log writes from now on as the settings say. */
  relog(): undefined {
    if (this.ring !== null && this.settings !== null) this.logTo(this.ring, this.settings);
  }

  /** Ask for kicks, or for none while work is due anyway. @returns false when a chain slipped in */
  askForKicks(wanted: boolean): boolean {
    const { ring, settings } = this;
    if (ring === null || settings === null) return true;
    if (!settings.eventIdx && wanted === this.asksForKicks) return ring.pending() === 0;
    this.asksForKicks = wanted;
    const quiet = wanted ? ring.enableNotify() : ring.disableNotify() === undefined;
    const log = settings.log();
    if (log !== null) this.markNotify(log, settings);
    return quiet;
  }

  /** Whether the driver has made chains available; where the mappings have changed nobody looks, and the next turn will. */
  private due(): boolean {
    const { ring, settings } = this;
    return ring === null || (settings !== null && this.generation === settings.port.generation && ring.pending() > 0);
  }

  /** The device wrote its event structure, avail_event at the used ring's end, or the used ring's flags. */
  private markNotify(log: DirtyLog, { eventIdx, packed }: RingSettings): undefined {
    const at = this.usedLo + (eventIdx && !packed ? vring_used_size(this.size) - 2 : 0);
    log.mark(at >>> 0, this.usedHi + (at >= TWO_32 ? 1 : 0), packed ? vring_packed_desc_event.size : 2);
  }

  /** Used descriptors of a packed ring lie among those of the driver. */
  private logTo(ring: DeviceRing, { log, packed }: RingSettings): undefined {
    if (packed) ring.setDirtyLog(log(), this.descLo, this.descHi);
    else ring.setDirtyLog(log(), this.usedLo, this.usedHi);
  }

  private translate(settings: RingSettings, finder: RingFinder): DeviceRing | null {
    const { generation } = settings.port;
    const addresses = {
      num: this.size,
      desc: this.descHi * TWO_32 + this.descLo,
      avail: this.availHi * TWO_32 + this.availLo,
      used: this.usedHi * TWO_32 + this.usedLo,
    };
    if (!finder.find(addresses, settings.packed)) {
      this.fault = finder.fault;
      this.saved = this.state;
      this.ring = null;
      return null;
    }
    const stays = this.ring !== null && this.remote === finder.remote && sameAreas(this.areas, finder.areas);
    if (!stays) this.ring = this.newRing(addresses, finder, settings);
    this.areas = finder.areas;
    this.remote = finder.remote;
    this.generation = generation;
    return this.ring;
  }

  private newRing(addresses: SplitRingAddresses, { areas, remote, shared }: RingFinder, settings: RingSettings): DeviceRing {
    this.foreign = shared;
    const options = { translate: settings.port, eventIdx: settings.eventIdx, checkIndexJump: true, threaded: shared };
    const ring = settings.packed ? newPacked(addresses, remote ? null : areas, options) : newSplit(addresses, areas, remote, options);
    ring.restore(this.state);
    this.logTo(ring, settings);
    return ring;
  }
}

function newSplit(addresses: SplitRingAddresses, areas: SplitRingAreas | null, remote: boolean, options: RingDeviceOptions): DeviceRing {
  if (remote) return new MirroredSplitDevice(addresses, options);
  return areas === null ? new GatheredSplitDevice(addresses, options) : new SplitDevice(areas, options);
}

function newPacked({ num, desc, avail, used }: SplitRingAddresses, areas: SplitRingAreas | null, options: RingDeviceOptions): DeviceRing {
  return areas === null ? new GatheredPackedDevice({ num, desc, driver: avail, device: used }, options) : new PackedDevice(packedAreasOf(areas), options);
}

/** Whether a ring is where it was; a scattered one finds its bytes itself. */
function sameAreas(a: SplitRingAreas | null, b: SplitRingAreas | null): boolean {
  if (a === null || b === null) return a === b;
  const same = (x: RingArea, y: RingArea): boolean => x.memory === y.memory && x.offset === y.offset;
  return same(a.desc, b.desc) && same(a.avail, b.avail) && same(a.used, b.used);
}
