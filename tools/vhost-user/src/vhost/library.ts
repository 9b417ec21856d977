/**
 * The vhost library of one process: sockets, front-ends, and what a vDPA driver asks about them.
 *
 * @see DPDK lib/vhost/rte_vhost.h
 */
import { closeSync, unlinkSync } from 'node:fs';
import { isKernelError, type Atomic, type KernelError } from '@vdpalab/abi';
import type { EventfdCtx } from '@vdpalab/fs';
import type { Lab, UserProcess } from '@vdpalab/lab';
import { acceptUnix, connectUnix, HostError, isHungUp, listenUnix, sendFds, watchReadable, type Watch } from '@vdpalab/libc';
import { VIRTIO_CONFIG_S_DRIVER_OK, vring_used_size } from '@vdpalab/uapi';
import type { GuestRegion } from '../memory/guest-memory.ts';
import { mapsInside, type MemorySite } from '../memory/host-file.ts';
import { Channel, closeFds } from '../protocol/channel.ts';
import * as pf from '../protocol/features.ts';
import { encodeMessage, encodeU64, VHOST_USER_NEED_REPLY_MASK, type Message } from '../protocol/message.ts';
import { requestName, VHOST_USER_BACKEND_CONFIG_CHANGE_MSG } from '../protocol/requests.ts';
import type { RteVdpaDevice } from '../rte_vdpa/registry.ts';
import { refuse } from '../refuse.ts';
import { dying } from './bridge.ts';
import { VhostDevice, type DirtyLogArea, type RingPlace } from './device.ts';
import type { Driver } from './driver.ts';
import { memoryRequests } from './memory-requests.ts';
import { negotiated, negotiation } from './negotiate.ts';
import type { Handler, Reply, Session } from './session.ts';
import { vringRequests } from './vring-requests.ts';

const HANDLERS: ReadonlyMap<number, Handler> = new Map([...negotiation, ...memoryRequests, ...vringRequests]);

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
  readonly #site: MemorySite;
  readonly #drivers = new Map<string, Driver>();
  readonly #listeners = new Map<string, Listener>();
  readonly #devices = new Map<number, VhostDevice>();
  #lastVid = -1;
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
    this.#site = { lab, p, how: options.beside !== true && mapsInside(lab) ? 'inside' : 'beside' };
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
    for (const dev of this.#devices.values()) if (dev.driver === driver) await this.#remove(dev);
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
    return [...this.#devices.keys()];
  }

  rte_vhost_get_ifname(vid: number): string {
    return this.#device(vid).driver.path;
  }

  /** Rings that messages have named. */
  rte_vhost_get_vring_num(vid: number): number {
    return Math.max(-1, ...this.#device(vid).vrings.keys()) + 1;
  }

  rte_vhost_get_mem_table(vid: number): readonly GuestRegion[] {
    return this.#device(vid).memory?.regions ?? [];
  }

  rte_vhost_get_negotiated_features(vid: number): bigint {
    return this.#device(vid).features;
  }

  rte_vhost_get_negotiated_protocol_features(vid: number): bigint {
    return this.#device(vid).protocolFeatures;
  }

  /** @returns `null` for a ring that is not set up */
  rte_vhost_get_vhost_vring(vid: number, index: number): RteVhostVring | null {
    const vring = this.#device(vid).vrings.get(index);
    if (vring === undefined || vring.place === null || vring.kick === null || vring.call === null) return null;
    return { place: vring.place, size: vring.num, kickfd: vring.kick.fd, callfd: vring.call.fd, enabled: vring.enabled };
  }

  rte_vhost_get_vring_base(vid: number, index: number): { readonly last_avail_idx: number; readonly last_used_idx: number } {
    const { lastAvail, lastUsed } = this.#device(vid).vring(index);
    return { last_avail_idx: lastAvail, last_used_idx: lastUsed };
  }

  rte_vhost_set_vring_base(vid: number, index: number, lastAvail: number, lastUsed: number): void {
    const vring = this.#device(vid).vring(index);
    vring.lastAvail = lastAvail & 0xffff;
    vring.lastUsed = lastUsed & 0xffff;
  }

  /** The log of written pages; `null` while there is none. */
  rte_vhost_get_log_base(vid: number): DirtyLogArea | null {
    return this.#device(vid).log;
  }

  /** Where the serving process sees guest memory; `null` when it is not in one region. */
  hostVa(vid: number, gpa: number, len: number): number | null {
    return this.#device(vid).memory?.hostVa(gpa, len) ?? null;
  }

  /** Mark a range of guest memory as written in the front-end's log. */
  rte_vhost_log_write(vid: number, gpa: number, len: number): void {
    const { log } = this.#device(vid);
    if (log === null || log.file.cut) return;
    const [bytes] = log.file.views;
    if (bytes === undefined) return;
    for (let page = Math.floor(gpa / LOG_PAGE); page * LOG_PAGE < gpa + len; page++) {
      const at = Math.floor(page / 8);
      if (at < log.size) Atomics.or(bytes, at, 1 << (page % 8)); // the front-end clears bits at the same time
    }
  }

  /** Mark all of a ring's used entries as written, where the front-end wants that logged. */
  rte_vhost_log_used_vring(vid: number, index: number): void {
    const vring = this.#device(vid).vrings.get(index);
    if (vring?.place?.log != null) this.rte_vhost_log_write(vid, vring.place.log, vring_used_size(vring.num));
  }

  /** Kicks and interrupts of a ring since they were last reset. */
  counts(vid: number, index: number): readonly bigint[] {
    const vring = this.#devices.get(vid)?.vrings.get(index);
    return [BigInt((vring?.kick?.count ?? 0) - (vring?.kicksBefore ?? 0)), BigInt((vring?.call?.count ?? 0) - (vring?.callsBefore ?? 0))];
  }

  resetCounts(vid: number, index: number): void {
    const vring = this.#devices.get(vid)?.vrings.get(index);
    if (vring === undefined) return;
    vring.kicksBefore = vring.kick?.count ?? 0;
    vring.callsBefore = vring.call?.count ?? 0;
  }

  /** Tell the front-end that the configuration has changed, where it listens. */
  rte_vhost_backend_config_change(vid: number): void {
    const { backendFd } = this.#device(vid);
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
    return this.#device(vid).memoryCut;
  }

  /**
   * Let the front-end ring a doorbell without us. @see DPDK lib/vhost/vhost_user.c `rte_vhost_host_notifier_ctrl`
   *
   * A simulated device has no page that another process could map, so nothing is switched on and the relay goes on.
   *
   * @throws ENOTSUP when `on`
   */
  rte_vhost_host_notifier_ctrl(vid: number, on: boolean): void {
    const dev = this.#device(vid);
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
    for (const dev of [...this.#devices.values()]) {
      this.#devices.delete(dev.vid);
      dev.channel.close();
      if (dev.backendFd >= 0) closeSync(dev.backendFd);
      for (const vring of dev.vrings.values()) await vring.closeBridges();
    }
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

  #device(vid: number): VhostDevice {
    const dev = this.#devices.get(vid);
    if (dev === undefined) throw refuse('device.unknown', `no device ${vid}`, 'ENODEV');
    return dev;
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
      this.#post(() => this.#adopt(driver, connection));
    }
  }

  /** A front-end has connected. A device serves one at a time; one that has left is seen off first. */
  async #adopt(driver: Driver, fd: number): Promise<void> {
    const other = [...this.#devices.values()].find((d) => d.driver === driver);
    if (other !== undefined && (!other.channel.open || isHungUp(other.channel.fd))) await this.#over(other.vid, null);
    else if (other !== undefined || !this.#listeners.has(driver.path)) {
      this.#log(`(${driver.path}) one front-end at a time: ${driver.vdpa?.name ?? ''} is in use`);
      closeSync(fd);
      return;
    }
    const vid = ++this.#lastVid;
    const channel = new Channel(fd, {
      message: (message) => this.#post(() => this.#message(vid, message)),
      over: (reason) => this.#post(() => this.#over(vid, reason)),
    });
    this.#devices.set(vid, new VhostDevice(vid, driver, channel));
    this.#log(`(${driver.path}) new vhost user connection is ${fd}, new device ${vid}`);
  }

  async #over(vid: number, reason: Error | null): Promise<void> {
    const dev = this.#devices.get(vid);
    if (dev === undefined) return;
    this.#log(`(${dev.driver.path}) vhost peer closed${reason === null ? '' : `: ${reason.message}`}`);
    if (reason !== null) this.lab.refusals.note('vhost-user', reason, this.p.proc);
    await this.#remove(dev);
  }

  async #message(vid: number, message: Message): Promise<void> {
    const dev = this.#devices.get(vid);
    if (dev === undefined) {
      closeFds(message.fds); // of a front-end that was disconnected meanwhile
      return;
    }
    const fds = [...message.fds];
    const name = requestName(message.request);
    this.#log(`(${dev.driver.path}) read message VHOST_USER_${name}`);
    let error: KernelError | null = null;
    try {
      const reply = await this.#handle(dev, message, fds);
      const acks = (message.flags & VHOST_USER_NEED_REPLY_MASK) !== 0 && pf.has(dev.protocolFeatures, pf.VHOST_USER_PROTOCOL_F_REPLY_ACK);
      if (reply !== undefined) dev.channel.reply(message.request, reply.payload, reply.fds);
      else if (acks) dev.channel.reply(message.request, encodeU64(0));
    } catch (thrown) {
      if (!isKernelError(thrown)) throw thrown;
      error = thrown;
    } finally {
      closeFds(fds);
    }
    if (error !== null && !this.#refused(dev, message, name, error)) await this.#remove(dev);
    else if (error === null) await this.#startWhenReady(dev);
    dev.channel.resume();
  }

  /** Tell a front-end that its request failed. @returns false when there is no way but to disconnect */
  #refused(dev: VhostDevice, message: Message, name: string, error: KernelError): boolean {
    this.#log(`(${dev.driver.path}) VHOST_USER_${name} failed: ${error.message} (${error.errno})`);
    this.lab.refusals.note(`vhost-user ${name}`, error, this.p.proc);
    if (error.errno === 'EPIPE') return false;
    if ((message.flags & VHOST_USER_NEED_REPLY_MASK) === 0 || !pf.has(dev.protocolFeatures, pf.VHOST_USER_PROTOCOL_F_REPLY_ACK)) return false;
    try {
      dev.channel.reply(message.request, encodeU64(1));
      return true;
    } catch (gone) {
      if (isKernelError(gone)) return false;
      throw gone;
    }
  }

  async #handle(dev: VhostDevice, message: Message, fds: number[]): Promise<Reply | undefined> {
    const { vdpa, path } = dev.driver;
    if (vdpa === null) throw refuse('device.gone', `${path}: its device was detached`, 'ENODEV');
    const name = requestName(message.request);
    const handler = HANDLERS.get(message.request);
    if (handler === undefined) throw refuse('request.unknown', `${name} is not served`, 'EOPNOTSUPP');
    if (!negotiated(message.request, dev.protocolFeatures)) throw refuse('request.feature', `${name} without its protocol feature`, 'EPROTO');
    const session: Session = {
      dev, vdpa, fds, site: this.#site, payload: message.payload,
      offered: { features: this.rte_vhost_driver_get_features(path), protocolFeatures: this.rte_vhost_driver_get_protocol_features(path) },
      stop: () => this.#stop(dev),
      reset: () => this.#reset(dev),
      fail: (error) => this.#post(() => this.#over(dev.vid, error)),
      log: (text) => this.#log(`(${path}) ${text}`),
    };
    return await handler(session);
  }

  /** `virtio_is_ready`: the first pair of a network device, and everything else that is enabled. */
  #ready(dev: VhostDevice): boolean {
    const rings = [...dev.vrings.values()];
    const first = dev.driver.vdpa?.type === 'blk' ? [0] : [0, 1];
    if (first.some((index) => !(dev.vrings.get(index)?.ready ?? false))) return false;
    if (rings.some((vring) => vring.enabled && !vring.ready)) return false;
    return !pf.has(dev.protocolFeatures, pf.VHOST_USER_PROTOCOL_F_STATUS) || (dev.status & VIRTIO_CONFIG_S_DRIVER_OK) !== 0;
  }

  async #startWhenReady(dev: VhostDevice): Promise<void> {
    const { vdpa, path } = dev.driver;
    if (vdpa === null || dev.configured || !this.#ready(dev)) return;
    this.#log(`(${path}) virtio is now ready for processing.`);
    try {
      await vdpa.ops.dev_conf(dev.vid);
      dev.configured = true;
    } catch (error) {
      if (!isKernelError(error)) throw error;
      this.#log(`(${path}) failed to configure vDPA device ${vdpa.name}: ${error.message} (${error.errno})`);
      this.lab.refusals.note('vhost-user dev_conf', error, this.p.proc);
    }
  }

  async #stop(dev: VhostDevice): Promise<void> {
    if (!dev.configured) return;
    dev.configured = false;
    await dev.driver.vdpa?.ops.dev_close(dev.vid);
  }

  async #reset(dev: VhostDevice): Promise<void> {
    await this.#stop(dev);
    for (const vring of dev.vrings.values()) await vring.closeBridges();
    dev.vrings.clear();
    await dev.memory?.unmap();
    dev.memory = null;
    await dev.log?.file.unmap();
    dev.log = null;
    dev.features = 0n;
    dev.status = 0;
    dev.owned = false;
  }

  /** Disconnect a front-end and give back all it had. */
  async #remove(dev: VhostDevice): Promise<void> {
    dev.channel.close();
    await this.#reset(dev);
    await dev.driver.vdpa?.ops.dev_cleanup?.(dev.vid);
    if (dev.backendFd >= 0) closeSync(dev.backendFd);
    dev.backendFd = -1;
    this.#devices.delete(dev.vid);
  }
}

/** A listening socket at a path; one that nobody listens at any more is replaced. */
function bindAt(path: string): number {
  try {
    return listenUnix(path);
  } catch (error) {
    if (!(error instanceof HostError) || error.errno !== 'EADDRINUSE' || !abandoned(path)) throw socketError(error, path);
  }
  unlinkSync(path);
  try {
    return listenUnix(path);
  } catch (error) {
    throw socketError(error, path);
  }
}

function abandoned(path: string): boolean {
  try {
    closeSync(connectUnix(path));
    return false;
  } catch (error) {
    return error instanceof HostError && error.errno === 'ECONNREFUSED';
  }
}

function socketError(error: unknown, path: string): unknown {
  if (error instanceof RangeError) return refuse('socket.path', error.message, 'ENAMETOOLONG');
  if (!(error instanceof HostError)) return error;
  const inUse = error.errno === 'EADDRINUSE';
  return refuse('socket.bind', `${path}: ${inUse ? 'somebody listens there, or it is no socket' : error.message}`, inUse ? 'EADDRINUSE' : 'EACCES');
}
