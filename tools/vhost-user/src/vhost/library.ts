/**
 * The vhost library of one process: sockets, front-ends, and what a vDPA driver asks about them.
 *
 * @see DPDK lib/vhost/rte_vhost.h
 */
import { closeSync, unlinkSync } from 'node:fs';
import type { Atomic } from '@vdpalab/abi';
import type { EventfdCtx } from '@vdpalab/fs';
import type { Lab, UserProcess } from '@vdpalab/lab';
import { acceptUnix, HostError, sendFds, watchReadable, type Watch } from '@vdpalab/libc';
import { VIRTIO_RING_F_EVENT_IDX, VRING_AVAIL_F_NO_INTERRUPT, vring_used_size } from '@vdpalab/uapi';
import type { GuestRegion } from '../memory/guest-memory.ts';
import { mapsInside } from '../memory/host-file.ts';
import * as pf from '../protocol/features.ts';
import { encodeMessage } from '../protocol/message.ts';
import { VHOST_USER_BACKEND_CONFIG_CHANGE_MSG } from '../protocol/requests.ts';
import type { RteVdpaDevice } from '../rte_vdpa/registry.ts';
import { refuse } from '../refuse.ts';
import { dying } from './bridge.ts';
import type { DirtyLogArea, RingPlace } from './device.ts';
import type { Driver } from './driver.ts';
import { FrontEnds } from './front-ends.ts';
import { bindAt } from './listen.ts';

/** Bytes of memory that a bit of the log stands for. */
const LOG_PAGE = 4096;

/** What the library itself does, for any device. */
const PROTOCOL_FEATURES = pf.bits(
  pf.VHOST_USER_PROTOCOL_F_MQ, pf.VHOST_USER_PROTOCOL_F_LOG_SHMFD, pf.VHOST_USER_PROTOCOL_F_RARP, pf.VHOST_USER_PROTOCOL_F_REPLY_ACK,
  pf.VHOST_USER_PROTOCOL_F_NET_MTU, pf.VHOST_USER_PROTOCOL_F_BACKEND_REQ, pf.VHOST_USER_PROTOCOL_F_CONFIG,
  pf.VHOST_USER_PROTOCOL_F_RESET_DEVICE, pf.VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS, pf.VHOST_USER_PROTOCOL_F_STATUS,
);

/** `struct rte_vhost_vring`, with descriptors and addresses of the lab. */
export interface RteVhostVring {
  readonly place: RingPlace;
  /** Descriptors. */
  readonly size: number;
  /** The lab's eventfds, in the serving process. */
  readonly kickfd: number;
  readonly callfd: number;
  readonly enabled: boolean;
}

/** How the library is made. */
export interface VhostOptions {
  /** Takes what DPDK would log. */
  readonly log?: (text: string) => void;
  /** Map memory beside WebAssembly memories although it would go inside; for tests. */
  readonly beside?: boolean;
}

/** A socket that listens. */
interface Listener {
  readonly driver: Driver;
  readonly fd: number;
  readonly watch: Watch;
}

/** One process's library. */
export class RteVhost {
  readonly lab: Lab;
  readonly p: UserProcess;
  readonly #log: (text: string) => void;
  readonly #drivers = new Map<string, Driver>();
  readonly #listeners = new Map<string, Listener>();
  readonly #frontEnds: FrontEnds;
  /** What has come in and waits for the events thread. */
  readonly #events: (() => Promise<void>)[] = [];
  readonly #eventFd: number;
  readonly #eventCtx: EventfdCtx;
  #closing = false;

  /** Inside a task of the process. */
  constructor(lab: Lab, p: UserProcess, options: VhostOptions = {}) {
    this.lab = lab;
    this.p = p;
    this.#log = options.log ?? ((): void => undefined);
    this.#frontEnds = new FrontEnds({
      lab, p, how: options.beside !== true && mapsInside(lab) ? 'inside' : 'beside', log: this.#log,
      post: (event) => this.#post(event),
      offered: (path) => ({ features: this.rte_vhost_driver_get_features(path), protocolFeatures: this.rte_vhost_driver_get_protocol_features(path) }),
    });
    this.#eventFd = p.eventfd();
    this.#eventCtx = lab.symbol('eventfd_ctx_fdget')(p.proc, this.#eventFd);
  }

  // ---- sockets ----

  /** @throws EEXIST when the path is registered */
  rte_vhost_driver_register(path: string): void {
    if (this.#drivers.has(path)) throw refuse('socket.registered', `${path} is registered`, 'EEXIST');
    this.#drivers.set(path, { path, vdpa: null, features: ~0n, protocolFeatures: ~0n });
  }

  /** Remove a socket; front-ends are disconnected. @throws ENOENT when it is not registered */
  async rte_vhost_driver_unregister(path: string): Promise<void> {
    const driver = this.#driver(path);
    this.#stopListening(path);
    for (const dev of this.#frontEnds.devices.values()) if (dev.driver === driver) await this.#frontEnds.remove(dev);
    this.#drivers.delete(path);
  }

  /** Say which device front-ends get. @throws EBUSY when the socket has one, or the device has another socket */
  rte_vhost_driver_attach_vdpa_device(path: string, dev: RteVdpaDevice): void {
    const driver = this.#driver(path);
    if (driver.vdpa !== null) throw refuse('socket.attached', `${path} has ${driver.vdpa.name}`, 'EBUSY');
    const other = [...this.#drivers.values()].find((d) => d.vdpa === dev);
    if (other !== undefined) throw refuse('device.attached', `${dev.name} serves ${other.path}`, 'EBUSY');
    driver.vdpa = dev;
  }

  rte_vhost_driver_detach_vdpa_device(path: string): void {
    this.#driver(path).vdpa = null;
  }

  rte_vhost_driver_get_vdpa_device(path: string): RteVdpaDevice | null {
    return this.#driver(path).vdpa;
  }

  /** Offer these features only. */
  rte_vhost_driver_set_features(path: string, features: bigint): void {
    this.#driver(path).features = features;
  }

  /** Offer these protocol features only. */
  rte_vhost_driver_set_protocol_features(path: string, features: bigint): void {
    this.#driver(path).protocolFeatures = features;
  }

  /** Features the socket offers: those the device can, and the limit that was set. */
  rte_vhost_driver_get_features(path: string): bigint {
    const { features, vdpa } = this.#driver(path);
    return (vdpa?.ops.get_features() ?? 0n) & features;
  }

  rte_vhost_driver_get_protocol_features(path: string): bigint {
    const { protocolFeatures, vdpa } = this.#driver(path);
    return (vdpa?.ops.get_protocol_features() ?? 0n) & PROTOCOL_FEATURES & protocolFeatures;
  }

  /**
   * Let front-ends connect. A socket that an ended process has left at the path is removed.
   *
   * @throws ENODEV without a device; EADDRINUSE when somebody listens there; what the host says about the path
   */
  rte_vhost_driver_start(path: string): void {
    const driver = this.#driver(path);
    if (driver.vdpa === null) throw refuse('socket.device', `${path} has no device`, 'ENODEV');
    const fd = bindAt(path);
    this.#listeners.set(path, { driver, fd, watch: watchReadable(fd, () => this.#accept(driver, fd)) });
  }

  // ---- what drivers ask ----

  /** Devices that front-ends use now. */
  vids(): readonly number[] {
    return [...this.#frontEnds.devices.keys()];
  }

  rte_vhost_get_ifname(vid: number): string {
    return this.#frontEnds.get(vid).driver.path;
  }

  /** Rings that messages have named. */
  rte_vhost_get_vring_num(vid: number): number {
    return Math.max(-1, ...this.#frontEnds.get(vid).vrings.keys()) + 1;
  }

  rte_vhost_get_mem_table(vid: number): readonly GuestRegion[] {
    return this.#frontEnds.get(vid).memory?.regions ?? [];
  }

  rte_vhost_get_negotiated_features(vid: number): bigint {
    return this.#frontEnds.get(vid).features;
  }

  rte_vhost_get_negotiated_protocol_features(vid: number): bigint {
    return this.#frontEnds.get(vid).protocolFeatures;
  }

  /** @returns `null` for a ring that is not set up */
  rte_vhost_get_vhost_vring(vid: number, index: number): RteVhostVring | null {
    const vring = this.#frontEnds.get(vid).vrings.get(index);
    if (vring === undefined || vring.place === null || vring.kick === null || vring.call === null) return null;
    return { place: vring.place, size: vring.num, kickfd: vring.kick.fd, callfd: vring.call.fd, enabled: vring.enabled };
  }

  rte_vhost_get_vring_base(vid: number, index: number): { readonly last_avail_idx: number; readonly last_used_idx: number } {
    const { lastAvail, lastUsed } = this.#frontEnds.get(vid).vring(index);
    return { last_avail_idx: lastAvail, last_used_idx: lastUsed };
  }

  rte_vhost_set_vring_base(vid: number, index: number, lastAvail: number, lastUsed: number): void {
    const vring = this.#frontEnds.get(vid).vring(index);
    vring.lastAvail = lastAvail & 0xffff;
    vring.lastUsed = lastUsed & 0xffff;
  }

  /** The log of written pages; `null` while there is none. */
  rte_vhost_get_log_base(vid: number): DirtyLogArea | null {
    return this.#frontEnds.get(vid).log;
  }

  /** Where the serving process sees guest memory; `null` when it is not in one region. */
  hostVa(vid: number, gpa: number, len: number): number | null {
    return this.#frontEnds.get(vid).memory?.hostVa(gpa, len) ?? null;
  }

  /** Mark a range of guest memory as written in the front-end's log. */
  rte_vhost_log_write(vid: number, gpa: number, len: number): void {
    const { log } = this.#frontEnds.get(vid);
    if (log === null || log.file.cut) return;
    const [bytes] = log.file.views;
    if (bytes === undefined) return;
    const end = Math.min((gpa + len) / LOG_PAGE, log.size * 8);
    for (let page = Math.floor(gpa / LOG_PAGE); page < end; page++) {
      Atomics.or(bytes, Math.floor(page / 8), 1 << (page % 8)); // the front-end clears bits at the same time
    }
  }

  /** Mark all of a ring's used entries as written, where the front-end wants that logged. */
  rte_vhost_log_used_vring(vid: number, index: number): void {
    const vring = this.#frontEnds.get(vid).vrings.get(index);
    if (vring?.place?.log != null) this.rte_vhost_log_write(vid, vring.place.log, vring_used_size(vring.num));
  }

  /** Interrupt a ring's guest, unless it wants no interrupts. */
  async rte_vhost_vring_call(vid: number, index: number): Promise<void> {
    const ring = this.rte_vhost_get_vhost_vring(vid, index);
    const avail = ring === null ? null : this.hostVa(vid, ring.place.avail, 2);
    if (ring === null || avail === null) return;
    const asked = !pf.has(this.rte_vhost_get_negotiated_features(vid), VIRTIO_RING_F_EVENT_IDX);
    if (asked && (this.p.proc.mm.load(avail, 2) & VRING_AVAIL_F_NO_INTERRUPT) !== 0) return;
    await this.p.eventfdWrite(ring.callfd);
  }

  /** Kicks and interrupts of a ring since they were last reset. */
  counts(vid: number, index: number): readonly bigint[] {
    const vring = this.#frontEnds.devices.get(vid)?.vrings.get(index);
    return [BigInt((vring?.kick?.count ?? 0) - (vring?.kicksBefore ?? 0)), BigInt((vring?.call?.count ?? 0) - (vring?.callsBefore ?? 0))];
  }

  resetCounts(vid: number, index: number): void {
    const vring = this.#frontEnds.devices.get(vid)?.vrings.get(index);
    if (vring === undefined) return;
    vring.kicksBefore = vring.kick?.count ?? 0;
    vring.callsBefore = vring.call?.count ?? 0;
  }

  /** Tell the front-end that the configuration has changed, where it listens. */
  rte_vhost_backend_config_change(vid: number): void {
    const { backendFd } = this.#frontEnds.get(vid);
    if (backendFd < 0) return;
    try {
      sendFds(backendFd, encodeMessage(VHOST_USER_BACKEND_CONFIG_CHANGE_MSG, 0, new Uint8Array(0)));
    } catch (error) {
      if (!(error instanceof HostError)) throw error;
      this.#log(`no configuration change is told: ${error.message}`); // it has left, and its socket will say so
    }
  }

  /** Whether a front-end has cut a file short that its guest's memory is in. */
  memoryCut(vid: number): boolean {
    return this.#frontEnds.get(vid).memoryCut;
  }

  /**
   * Let the front-end ring a doorbell without us. @see DPDK lib/vhost/vhost_user.c `rte_vhost_host_notifier_ctrl`
   *
   * A simulated device has no page that another process could map, so nothing is switched on and the relay goes on.
   *
   * @throws ENOTSUP when `on`
   */
  rte_vhost_host_notifier_ctrl(vid: number, on: boolean): void {
    const dev = this.#frontEnds.get(vid);
    if (on) throw refuse('host-notifier', `${dev.driver.vdpa?.name ?? ''}: doorbells of simulated hardware have no page that a front-end could map`, 'EOPNOTSUPP');
  }

  // ---- events ----

  /** `vhost-events`: handle what front-ends send, until {@link close} or the end of the process. */
  async run(): Promise<void> {
    try {
      while (!this.#closing) {
        await this.p.read(this.#eventFd, 8);
        for (let event = this.#events.shift(); event !== undefined; event = this.#events.shift()) await event();
      }
      for (const path of [...this.#drivers.keys()]) await this.rte_vhost_driver_unregister(path);
    } finally {
      await this.#abandon();
    }
  }

  /** End {@link run}: front-ends are disconnected, sockets removed. From anywhere. */
  close(): void {
    this.#post(async () => {
      this.#closing = true;
    });
  }

  /** Give the host's resources back, whatever state the process is in. */
  async #abandon(): Promise<void> {
    for (const path of [...this.#listeners.keys()]) this.#stopListening(path);
    await this.#frontEnds.abandon();
    this.lab.symbol('eventfd_ctx_put')(this.#eventCtx);
    if (!dying(this.p)) await this.p.close(this.#eventFd);
  }

  #post(event: () => Promise<void>): void {
    this.#events.push(event);
    const eventfd_signal = this.lab.symbol('eventfd_signal');
    this.lab.hw.sched.post('vhost-user event', (): Atomic => eventfd_signal(this.#eventCtx, 1));
  }

  #driver(path: string): Driver {
    const driver = this.#drivers.get(path);
    if (driver === undefined) throw refuse('socket.unknown', `${path} is not registered`, 'ENOENT');
    return driver;
  }

  #stopListening(path: string): void {
    const listener = this.#listeners.get(path);
    if (listener === undefined) return;
    this.#listeners.delete(path);
    listener.watch.close();
    closeSync(listener.fd);
    unlinkSync(path);
  }

  #accept(driver: Driver, listening: number): void {
    for (let fd = acceptUnix(listening); fd !== null; fd = acceptUnix(listening)) {
      const connection = fd;
      this.#post(() => this.#frontEnds.adopt(driver, connection, this.#listeners.has(driver.path)));
    }
  }
}
