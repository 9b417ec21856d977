/** A virtio network function: frames between its queues and a network. */
import {
  VIRTIO_F_VERSION_1, VIRTIO_NET_F_CTRL_RX, VIRTIO_NET_F_CTRL_VLAN, VIRTIO_NET_F_CTRL_VQ, VIRTIO_NET_F_GUEST_ANNOUNCE, VIRTIO_NET_F_MQ,
  VIRTIO_NET_F_MRG_RXBUF, virtio_net_hdr, virtio_net_hdr_v1,
} from '@vdpalab/uapi';
import type { NetPort } from '../net/port.ts';
import type { FunctionParts, FunctionSite } from '../pci/function.ts';
import { ControlQueue } from './control.ts';
import type { NetCounters } from './counters.ts';
import { flowHash } from './flow.ts';
import { VirtioFunction } from './function.ts';
import type { VirtioInit } from './function.ts';
import { NetConfig } from './net-config.ts';
import type { NetSettings } from './net-settings.ts';
import type { DeviceRing, VirtQueue } from './queue.ts';
import { ReceiveFilter } from './receive-filter.ts';
import { Receiver } from './receive.ts';
import { Transmitter } from './transmit.ts';

/** One network function, wherever its registers lie. */
export abstract class NetFunction<C extends NetCounters> extends VirtioFunction<C> {
  readonly net: NetConfig;
  readonly receiver: Receiver;
  /** Whether every frame is taken, whatever the driver asks for: captures replayed into the network then arrive. */
  promisc: boolean;
  private readonly filter = new ReceiveFilter();
  /** Where the function is plugged in. */
  port: NetPort | null = null;
  private pairs = 1;
  private headerSize = virtio_net_hdr.size;
  private readonly netSettings: NetSettings;
  private readonly transmitter: Transmitter;
  private readonly control: ControlQueue;

  constructor(site: FunctionSite, parts: FunctionParts, init: VirtioInit<C>, settings: NetSettings) {
    super(site, parts, init);
    this.netSettings = settings;
    this.promisc = settings.promisc;
    this.net = new NetConfig(settings);
    this.transmitter = this.newTransmitter(settings);
    this.receiver = this.newReceiver(settings);
    this.control = new ControlQueue({
      setPairs: (wanted) => this.common.negotiated(VIRTIO_NET_F_MQ) && this.setPairs(wanted),
      setMac: (mac) => {
        this.net.setMac(mac);
        return true;
      },
      negotiated: (bit) => this.common.negotiated(bit),
      filter: this.filter,
      announced: () => this.net.announced(),
    });
  }

  /** Plug the function into a network, or out with `null`; the link follows. */
  plug(port: NetPort | null): undefined {
    this.port?.unplug();
    this.use(port);
  }

  /** Take frames from this port from now on, or from none; the link follows. */
  protected use(port: NetPort | null): undefined {
    this.port = port;
    if (port !== null) port.receiver = () => this.receive();
    this.setLink(port !== null);
  }

  /** The address whose frames are taken, six bytes. */
  protected get address(): Uint8Array {
    return this.net.bytes;
  }

  /** Set the link's state; the driver hears of a change by a configuration interrupt. */
  setLink(up: boolean): undefined {
    if (up === this.net.linkUp) return;
    this.net.linkUp = up;
    this.configChanged();
  }

  /** Ask the driver to tell the network where it is, as after a migration: QEMU's `announce-self`. */
  announceSelf(): undefined {
    if (!this.common.negotiated(VIRTIO_NET_F_GUEST_ANNOUNCE)) return;
    this.net.announce = true;
    this.configChanged();
  }

  /** Use this many queue pairs. @returns false when there are not that many */
  protected setPairs(count: number): boolean {
    if (count < 1 || count > this.netSettings.queuePairs) return false;
    this.pairs = count;
    return true;
  }

  /** A turn of device work begins. */
  protected beginTurn(): undefined {
    return undefined;
  }

  protected override onDriverOk(): undefined {
    const merged = this.common.negotiated(VIRTIO_F_VERSION_1) || this.common.negotiated(VIRTIO_NET_F_MRG_RXBUF);
    this.headerSize = merged ? virtio_net_hdr_v1.size : virtio_net_hdr.size;
    this.filter.filtersVlans = this.common.negotiated(VIRTIO_NET_F_CTRL_VLAN);
  }

  protected onDeviceReset(): undefined {
    this.net.reset();
    this.filter.reset();
    this.port?.flush();
    this.pairs = 1;
    this.headerSize = virtio_net_hdr.size;
  }

  protected override onRemove(): undefined {
    this.port?.unplug();
    this.port = null;
  }

  /** Even queues receive: they have no work, frames that find no buffer are dropped. */
  protected works(queue: VirtQueue): boolean {
    return queue.index === this.controlIndex() || (queue.index & 1) === 1;
  }

  protected serve(queue: VirtQueue, ring: DeviceRing): undefined {
    this.beginTurn();
    if (queue.index === this.controlIndex()) this.counters.commands += this.server.chains(queue, ring, this.control);
    else this.server.transmit(queue, ring, this.transmitter);
  }

  private newTransmitter(settings: NetSettings): Transmitter {
    return new Transmitter(settings.mtu, {
      port: () => (this.net.linkUp ? this.port : null),
      headerSize: () => this.headerSize,
      traced: () => this.hw.trace.enabled,
      trace: (length) => this.hw.trace.emit('tx', { device: this.bdf, length }),
    }, this.counters);
  }

  private newReceiver(settings: NetSettings): Receiver {
    return new Receiver(settings.mtu, {
      accepts: (u8, at) => this.promisc || this.wants(u8, at),
      queue: (u8, at, length) => this.queueOf(u8, at, length),
      headerSize: () => this.headerSize,
      mergeable: () => this.common.negotiated(VIRTIO_NET_F_MRG_RXBUF),
      trace: (queue, frame) => this.traceRx(queue, frame),
      used: (queue) => this.publish(queue),
      unreachable: (queue) => this.lostRing(queue),
      refused: (queue, ring) => this.server.refused(queue, ring),
    }, this.counters);
  }

  /** Whether a frame is for the function: its driver decides, where it can. */
  private wants(u8: Uint8Array, at: number): boolean {
    return this.common.negotiated(VIRTIO_NET_F_CTRL_RX) ? this.filter.accepts(this.address, u8, at) : isFor(this.address, u8, at);
  }

  private receive(): undefined {
    const { port } = this;
    if (port === null) return;
    this.beginTurn();
    this.receiver.run(port);
    const written = this.receiver.takeWritten();
    if (written > 0) this.dma.count(0, written);
    for (const queue of this.queues) queue.countRing();
  }

  /** The queue of a frame's flow; the first pair's when that does not run. */
  private queueOf(u8: Uint8Array, at: number, length: number): VirtQueue | null {
    const { pairs } = this;
    return this.receiveQueue(pairs === 1 ? 0 : flowHash(u8, at, length) % pairs) ?? this.receiveQueue(0);
  }

  private receiveQueue(pair: number): VirtQueue | null {
    const queue = this.queues[2 * pair];
    return queue !== undefined && queue.enabled && this.active && this.net.linkUp ? queue : null;
  }

  /** Frames went into a receive queue: publish them. */
  private publish(queue: VirtQueue): undefined {
    const ring = queue.open();
    if (ring === null) return;
    ring.flush();
    if (queue.foreign) queue.askForKicks(false); // frames that find no buffer are dropped: nobody waits for one
    this.interrupts.used(queue, ring, 1);
  }

  /** Index of the control queue, -1 without. */
  private controlIndex(): number {
    if (!this.common.negotiated(VIRTIO_NET_F_CTRL_VQ)) return -1;
    // virtio 1.2, section 5.1.2: without MQ there is one pair in front of the control queue.
    return this.common.negotiated(VIRTIO_NET_F_MQ) ? 2 * this.netSettings.queuePairs : 2;
  }

  private traceRx(queue: VirtQueue, frame: number): undefined {
    const { trace, sched } = this.hw;
    if (!trace.enabled || this.port === null) return;
    sched.cause = this.port.pool.cause[frame]!;
    sched.cause = trace.emit('rx', { device: this.bdf, queue: queue.index, length: this.port.pool.length[frame]! });
  }
}

/** Own address, broadcast or multicast. */
function isFor(mac: Uint8Array, u8: Uint8Array, at: number): boolean {
  if ((u8[at]! & 1) === 1) return true;
  for (let i = 0; i < 6; i++) if (u8[at + i] !== mac[i]) return false;
  return true;
}
