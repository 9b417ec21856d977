/** A front-end's device as the library keeps it. @see DPDK lib/vhost/vhost.h `struct virtio_net` */
import type { HostFile } from '../memory/host-file.ts';
import type { GuestMemory } from '../memory/guest-memory.ts';
import type { Channel } from '../protocol/channel.ts';
import type { VringAddr } from '../protocol/message.ts';
import type { Bridge, CallBridge } from './bridge.ts';
import type { Driver } from './driver.ts';

/** Where a ring lies, in guest physical addresses. */
export interface RingPlace {
  readonly desc: number;
  readonly avail: number;
  readonly used: number;
  /** Where writes of the used ring are logged; `null` when they are not. */
  readonly log: number | null;
}

/** One ring. */
export class Vring {
  readonly index: number;
  /** Descriptors; 0 until it is said. */
  num = 0;
  /** Next entry to take, and to use. */
  lastAvail = 0;
  lastUsed = 0;
  /** What SET_VRING_ADDR said. */
  addr: VringAddr | null = null;
  /** The same in guest addresses; `null` while memory does not cover it. */
  place: RingPlace | null = null;
  kick: Bridge | null = null;
  call: CallBridge | null = null;
  enabled = false;
  /** Counts of the bridges when statistics were last reset. */
  kicksBefore = 0;
  callsBefore = 0;

  constructor(index: number) {
    this.index = index;
  }

  /** `vq_is_ready`: everything is there to run it. */
  get ready(): boolean {
    return this.num > 0 && this.place !== null && this.kick !== null && this.call !== null && this.enabled;
  }

  /** Close the eventfds. */
  async closeBridges(): Promise<void> {
    const { kick, call } = this;
    this.kick = null;
    this.call = null;
    this.kicksBefore = 0;
    this.callsBefore = 0;
    await kick?.close();
    await call?.close();
  }
}

/** The part of a file that is the log of written pages: one bit for each 4096 bytes. */
export interface DirtyLogArea {
  readonly file: HostFile;
  /** Bytes. */
  readonly size: number;
}

/** One connection's device. */
export class VhostDevice {
  readonly vid: number;
  readonly driver: Driver;
  readonly channel: Channel;
  features = 0n;
  protocolFeatures = 0n;
  /** virtio status, where the front-end says it. */
  status = 0;
  owned = false;
  memory: GuestMemory | null = null;
  log: DirtyLogArea | null = null;
  /** By index; as many as messages have named. */
  readonly vrings = new Map<number, Vring>();
  /** dev_conf has been called and dev_close has not. */
  configured = false;
  /** Features that were refused keep FEATURES_OK from being set. */
  featuresFailed = false;
  /** Descriptor for our own requests; -1 without. */
  backendFd = -1;
  mtu = 0;

  constructor(vid: number, driver: Driver, channel: Channel) {
    this.vid = vid;
    this.driver = driver;
    this.channel = channel;
  }

  /** Whether a file of memory or of the log has become too short: touching what is gone would end this process. */
  get memoryCut(): boolean {
    return (this.memory?.cut ?? false) || (this.log?.file.cut ?? false);
  }

  vring(index: number): Vring {
    const known = this.vrings.get(index);
    if (known !== undefined) return known;
    const vring = new Vring(index);
    this.vrings.set(index, vring);
    return vring;
  }
}
