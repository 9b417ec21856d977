/** Front-ends that are connected: their messages, and when their devices start and stop. @see DPDK lib/vhost/vhost_user.c `vhost_user_msg_handler` */
import { closeSync } from 'node:fs';
import { isKernelError, type KernelError } from '@vdpalab/abi';
import { isHungUp } from '@vdpalab/libc';
import { VIRTIO_CONFIG_S_DRIVER_OK } from '@vdpalab/uapi';
import type { MemorySite } from '../memory/host-file.ts';
import { Channel, closeFds } from '../protocol/channel.ts';
import { has, VHOST_USER_PROTOCOL_F_REPLY_ACK, VHOST_USER_PROTOCOL_F_STATUS } from '../protocol/features.ts';
import { encodeU64, VHOST_USER_NEED_REPLY_MASK, type Message } from '../protocol/message.ts';
import { requestName } from '../protocol/requests.ts';
import { refuse } from '../refuse.ts';
import { VhostDevice } from './device.ts';
import type { Driver } from './driver.ts';
import { memoryRequests } from './memory-requests.ts';
import { negotiated, negotiation } from './negotiate.ts';
import type { Handler, Reply, Session } from './session.ts';
import { vringRequests } from './vring-requests.ts';

const HANDLERS: ReadonlyMap<number, Handler> = new Map([...negotiation, ...memoryRequests, ...vringRequests]);

/** What front-ends need of the library. */
export interface FrontEndSite extends Omit<MemorySite, 'cut'> {
  readonly log: (text: string) => void;
  /** Have something done by the events thread. From anywhere. */
  readonly post: (event: () => Promise<void>) => void;
  /** What a socket offers. */
  readonly offered: (path: string) => Session['offered'];
}

/** All front-ends of one library. Everything but {@link get} runs in the events thread. */
export class FrontEnds {
  readonly #site: FrontEndSite;
  readonly #devices = new Map<number, VhostDevice>();
  #lastVid = -1;

  constructor(site: FrontEndSite) {
    this.#site = site;
  }

  /** Devices in use, by vid. */
  get devices(): ReadonlyMap<number, VhostDevice> {
    return this.#devices;
  }

  /** @throws ENODEV when there is none of this number */
  get(vid: number): VhostDevice {
    const dev = this.#devices.get(vid);
    if (dev === undefined) throw refuse('device.unknown', `no device ${vid}`, 'ENODEV');
    return dev;
  }

  /**
   * A front-end has connected. A device serves one at a time; one that has left is seen off first.
   *
   * @param listening whether the socket still takes front-ends
   */
  async adopt(driver: Driver, fd: number, listening: boolean): Promise<void> {
    const other = [...this.#devices.values()].find((d) => d.driver === driver);
    if (other !== undefined && (!other.channel.open || isHungUp(other.channel.fd))) await this.#over(other.vid, null);
    else if (other !== undefined || !listening) {
      this.#site.log(`(${driver.path}) one front-end at a time: ${driver.vdpa?.name ?? ''} is in use`);
      closeSync(fd);
      return;
    }
    const vid = ++this.#lastVid;
    const channel = new Channel(fd, {
      message: (message) => this.#site.post(() => this.#message(vid, message)),
      over: (reason) => this.#site.post(() => this.#over(vid, reason)),
    });
    this.#devices.set(vid, new VhostDevice(vid, driver, channel));
    this.#site.log(`(${driver.path}) new vhost user connection is ${fd}, new device ${vid}`);
  }

  async #over(vid: number, reason: Error | null): Promise<void> {
    const dev = this.#devices.get(vid);
    if (dev === undefined) return;
    this.#site.log(`(${dev.driver.path}) vhost peer closed${reason === null ? '' : `: ${reason.message}`}`);
    if (reason !== null) this.#site.lab.refusals.note('vhost-user', reason, this.#site.p.proc);
    await this.remove(dev);
  }

  async #message(vid: number, message: Message): Promise<void> {
    const dev = this.#devices.get(vid);
    if (dev === undefined) {
      closeFds(message.fds); // of a front-end that was disconnected meanwhile
      return;
    }
    const fds = [...message.fds];
    const name = requestName(message.request);
    this.#site.log(`(${dev.driver.path}) read message VHOST_USER_${name}`);
    let error: KernelError | null = null;
    try {
      const reply = await this.#handle(dev, message, fds);
      const acks = (message.flags & VHOST_USER_NEED_REPLY_MASK) !== 0 && has(dev.protocolFeatures, VHOST_USER_PROTOCOL_F_REPLY_ACK);
      if (reply !== undefined) dev.channel.reply(message.request, reply.payload, reply.fds);
      else if (acks) dev.channel.reply(message.request, encodeU64(0));
    } catch (thrown) {
      if (!isKernelError(thrown)) throw thrown;
      error = thrown;
    } finally {
      closeFds(fds);
    }
    if (error !== null && !this.#refused(dev, message, name, error)) await this.remove(dev);
    else if (error === null) await this.#startWhenReady(dev);
    dev.channel.resume();
  }

  /** Tell a front-end that its request failed. @returns false when there is no way but to disconnect */
  #refused(dev: VhostDevice, message: Message, name: string, error: KernelError): boolean {
    this.#site.log(`(${dev.driver.path}) VHOST_USER_${name} failed: ${error.message} (${error.errno})`);
    this.#site.lab.refusals.note(`vhost-user ${name}`, error, this.#site.p.proc);
    if (error.errno === 'EPIPE') return false;
    if ((message.flags & VHOST_USER_NEED_REPLY_MASK) === 0 || !has(dev.protocolFeatures, VHOST_USER_PROTOCOL_F_REPLY_ACK)) return false;
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
    const fail = (error: Error): void => this.#site.post(() => this.#over(dev.vid, error));
    const session: Session = {
      dev, vdpa, fds, payload: message.payload,
      site: { ...this.#site, cut: () => fail(refuse('memory.cut', 'a file of its memory was cut short')) },
      offered: this.#site.offered(path),
      stop: () => this.#stop(dev),
      reset: () => this.#reset(dev),
      fail,
      log: (text) => this.#site.log(`(${path}) ${text}`),
    };
    return await handler(session);
  }

  /** `virtio_is_ready`: the first pair of a network device, and everything else that is enabled. */
  #ready(dev: VhostDevice): boolean {
    const rings = [...dev.vrings.values()];
    const first = dev.driver.vdpa?.type === 'blk' ? [0] : [0, 1];
    if (first.some((index) => !(dev.vrings.get(index)?.ready ?? false))) return false;
    if (rings.some((vring) => vring.enabled && !vring.ready)) return false;
    return !has(dev.protocolFeatures, VHOST_USER_PROTOCOL_F_STATUS) || (dev.status & VIRTIO_CONFIG_S_DRIVER_OK) !== 0;
  }

  async #startWhenReady(dev: VhostDevice): Promise<void> {
    const { vdpa, path } = dev.driver;
    if (vdpa === null || dev.configured || !this.#ready(dev)) return;
    this.#site.log(`(${path}) virtio is now ready for processing.`);
    try {
      await vdpa.ops.dev_conf(dev.vid);
      dev.configured = true;
    } catch (error) {
      if (!isKernelError(error)) throw error;
      this.#site.log(`(${path}) failed to configure vDPA device ${vdpa.name}: ${error.message} (${error.errno})`);
      this.#site.lab.refusals.note('vhost-user dev_conf', error, this.#site.p.proc);
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
  async remove(dev: VhostDevice): Promise<void> {
    dev.channel.close();
    await this.#reset(dev);
    await dev.driver.vdpa?.ops.dev_cleanup?.(dev.vid);
    if (dev.backendFd >= 0) closeSync(dev.backendFd);
    dev.backendFd = -1;
    this.#devices.delete(dev.vid);
  }

  /** Give back what the host has of all of them, whatever state the process is in. */
  async abandon(): Promise<void> {
    for (const dev of [...this.#devices.values()]) {
      this.#devices.delete(dev.vid);
      dev.channel.close();
      if (dev.backendFd >= 0) closeSync(dev.backendFd);
      for (const vring of dev.vrings.values()) await vring.closeBridges();
    }
  }
}
