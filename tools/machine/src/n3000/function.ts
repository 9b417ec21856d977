/**
 * An N3000 network function: virtio 1.0 over PCI with IFCVF's live migration region.
 *
 * Physical and virtual functions are alike here; what differs is their configuration space.
 */
import type { AtomicWork } from '@vdpalab/abi';
import {
  VIRTIO_CONFIG_S_DRIVER_OK, VIRTIO_CONFIG_S_NEEDS_RESET, VIRTIO_F_VERSION_1, VIRTIO_NET_F_CTRL_VQ, VIRTIO_NET_F_MQ,
  VIRTIO_NET_F_MRG_RXBUF, VIRTIO_RING_F_EVENT_IDX, virtio_net_hdr, virtio_net_hdr_v1,
} from '@vdpalab/uapi';
import type { DirtyLog } from '@vdpalab/vring';
import type { DmaPort } from '../dma.ts';
import type { NetPort } from '../net/port.ts';
import { PciFunction } from '../pci/function.ts';
import type { FunctionParts, FunctionSite } from '../pci/function.ts';
import { CommonConfig } from './common-config.ts';
import { ControlQueue } from './control.ts';
import { newN3000Counters } from './counters.ts';
import { BothLogs, PageLog } from './dirty-log.ts';
import {
  BAR_MIGRATION, BAR_NOTIFY, BAR_REGISTERS, COMMON_OFFSET, COMMON_SIZE, DEVICE_OFFSET, DEVICE_SIZE, ISR_OFFSET, MSIX_PBA_OFFSET,
  MSIX_TABLE_OFFSET, doorbellQueue, queueCount, vectorCount,
} from './layout.ts';
import { Interrupts } from './interrupts.ts';
import { MigrationRegion } from './lm-region.ts';
import { NetConfig } from './net-config.ts';
import { VirtQueue } from './queue.ts';
import { Receiver } from './receive.ts';
import { QueueServer } from './serve.ts';
import { offeredFeatures } from './settings.ts';
import type { N3000Settings } from './settings.ts';
import { Transmitter } from './transmit.ts';

const TWO_32 = 0x1_0000_0000;

/** Why a function gave up. */
export interface DeviceFault {
  /** Stable id of the check that failed. */
  readonly rule: string;
  readonly text: string;
}

/** One network function. */
export class N3000Function extends PciFunction {
  readonly settings: N3000Settings;
  readonly counters = newN3000Counters();
  readonly queues: readonly VirtQueue[];
  readonly common: CommonConfig;
  readonly migration: MigrationRegion;
  readonly net: NetConfig;
  readonly receiver: Receiver;
  /** Why NEEDS_RESET was set last; `null` since the last reset. */
  fault: DeviceFault | null = null;
  /** Where the function is plugged in. */
  port: NetPort | null = null;
  private pairs = 1;
  private headerSize = virtio_net_hdr.size;
  private readonly server: QueueServer;
  private readonly interrupts: Interrupts;
  private readonly pageLog: PageLog;

  constructor(site: FunctionSite, parts: FunctionParts, settings: N3000Settings) {
    super(site, parts);
    this.settings = settings;
    const { counters } = this;
    const count = queueCount(settings.queuePairs);
    this.queues = Array.from({ length: count }, (_, i) => new VirtQueue(i, settings.queueSize, this.workOf(i)));
    this.common = new CommonConfig(offeredFeatures(settings.queuePairs), this.queues, vectorCount(settings.queuePairs), {
      reset: () => this.resetDevice(),
      driverOk: () => this.started(),
      enable: (queue) => this.enable(queue),
      disable: (queue) => queue.disable(),
    });
    this.migration = new MigrationRegion(settings.profile, this.queues, {
      logging: () => this.logWritten(),
      pairs: (wanted) => void this.setPairs(wanted) as undefined,
    });
    this.net = new NetConfig(settings);
    this.pageLog = new PageLog(counters);
    this.interrupts = new Interrupts(this.bdf, this.hw, this.msix, counters);
    this.server = this.newServer();
    this.receiver = this.newReceiver();
  }

  /** Plug the function into a network, or out with `null`; the link follows. */
  plug(port: NetPort | null): undefined {
    this.port?.unplug();
    this.port = port;
    if (port !== null) port.receiver = () => this.receive();
    this.setLink(port !== null);
  }

  /** Set the link's state; the driver hears of a change by a configuration interrupt. */
  setLink(up: boolean): undefined {
    if (up === this.net.linkUp) return;
    this.net.linkUp = up;
    this.configChanged();
  }

  readBar(bar: number, offset: number, size: 1 | 2 | 4): number {
    if (bar === BAR_REGISTERS) return this.readRegisters(offset, size);
    return bar === BAR_MIGRATION ? this.migration.read(offset, size) : 0;
  }

  writeBar(bar: number, offset: number, size: 1 | 2 | 4, value: number): undefined {
    if (bar === BAR_NOTIFY) this.kick(doorbellQueue(offset), value);
    else if (bar === BAR_MIGRATION) this.migration.write(offset, size, value);
    else if (bar === BAR_REGISTERS) this.writeRegisters(offset, size, value);
  }

  /** A frame may be sent and received. */
  private get active(): boolean {
    return this.common.running && this.busMaster;
  }

  private newServer(): QueueServer {
    const transmitter = new Transmitter(this.settings.mtu, {
      port: () => (this.net.linkUp ? this.port : null),
      headerSize: () => this.headerSize,
      trace: (length) => this.traceTx(length),
    }, this.counters);
    const control = new ControlQueue({
      setPairs: (wanted) => this.common.negotiated(VIRTIO_NET_F_MQ) && this.setPairs(wanted),
      setMac: (mac) => {
        this.net.setMac(mac);
        return true;
      },
    });
    return new QueueServer({
      dma: () => this.dma,
      running: () => this.common.running,
      log: () => this.queueLog(),
      again: (queue) => this.hw.sched.raise(queue.work),
      giveUp: (rule, text) => this.giveUp(rule, text),
    }, transmitter, control, this.interrupts, this.counters);
  }

  private newReceiver(): Receiver {
    return new Receiver(this.settings.mtu, this.settings.promisc, {
      queue: (pair) => this.receiveQueue(pair),
      pairs: () => this.pairs,
      headerSize: () => this.headerSize,
      mergeable: () => this.common.negotiated(VIRTIO_NET_F_MRG_RXBUF),
      mac: () => this.net.bytes,
      trace: (queue, frame) => this.traceRx(queue, frame),
      used: (queue) => this.publish(queue),
      unreachable: (queue) => this.lostRing(queue),
      refused: (queue, ring) => this.server.refused(queue, ring),
    }, this.counters);
  }

  // --- registers ---

  private readRegisters(offset: number, size: 1 | 2 | 4): number {
    if (offset < COMMON_OFFSET + COMMON_SIZE) return this.common.read(offset, size);
    if (offset === ISR_OFFSET) return this.interrupts.takeIsr();
    if (offset >= DEVICE_OFFSET && offset < DEVICE_OFFSET + DEVICE_SIZE) return this.net.read(offset - DEVICE_OFFSET, size);
    if (offset >= MSIX_PBA_OFFSET) return this.msix?.readPending(offset - MSIX_PBA_OFFSET, size) ?? 0;
    return offset >= MSIX_TABLE_OFFSET ? this.msix?.readTable(offset - MSIX_TABLE_OFFSET, size) ?? 0 : 0;
  }

  private writeRegisters(offset: number, size: 1 | 2 | 4, value: number): undefined {
    if (offset < COMMON_OFFSET + COMMON_SIZE) this.common.write(offset, size, value);
    else if (offset >= MSIX_TABLE_OFFSET && offset < MSIX_PBA_OFFSET) this.msix?.writeTable(offset - MSIX_TABLE_OFFSET, size, value);
  }

  private kick(page: number, value: number): undefined {
    const queue = this.queues[page];
    if (queue === undefined || value !== page) {
      this.counters.badKicks++;
      return;
    }
    this.counters.kicks++;
    const { trace, sched } = this.hw;
    const outer = sched.cause;
    if (trace.enabled) sched.cause = trace.emit('kick', { device: this.bdf, queue: page });
    sched.raise(queue.work);
    sched.cause = outer;
  }

  // --- life of the device ---

  private enable(queue: VirtQueue): undefined {
    if (queue.refusedSize !== null) {
      this.giveUp('n3000.queue-size', `queue ${queue.index}: size ${queue.refusedSize}, not a power of two up to ${queue.max}`);
      return;
    }
    queue.enable({
      port: this.dma,
      eventIdx: this.common.negotiated(VIRTIO_RING_F_EVENT_IDX),
      log: () => this.queueLog(),
    });
    if (this.common.running) this.open(queue);
  }

  private started(): undefined {
    const merged = this.common.negotiated(VIRTIO_F_VERSION_1) || this.common.negotiated(VIRTIO_NET_F_MRG_RXBUF);
    this.headerSize = merged ? virtio_net_hdr_v1.size : virtio_net_hdr.size;
    for (const queue of this.queues) if (queue.enabled) this.open(queue);
  }

  /** Reach the ring at once, so that a wrong address shows now; look whether buffers wait already. */
  private open(queue: VirtQueue): undefined {
    if (!this.busMaster || !this.common.running) return;
    if (queue.open() === null) this.lostRing(queue);
    else this.hw.sched.raise(queue.work);
  }

  /** What writing 0 to the status does: nothing of the old state is left when it reads back. */
  private resetDevice(): undefined {
    this.counters.resets++;
    for (const queue of this.queues) queue.reset();
    this.common.reset();
    this.migration.reset();
    this.pageLog.set(null, 0, 0);
    this.net.reset();
    this.port?.flush();
    this.interrupts.takeIsr();
    this.pairs = 1;
    this.headerSize = virtio_net_hdr.size;
    this.fault = null;
  }

  protected onReset(): undefined {
    this.resetDevice();
  }

  protected override onRemove(): undefined {
    this.port?.unplug();
    this.port = null;
  }

  protected override onBusMaster(on: boolean): undefined {
    if (on) for (const queue of this.queues) if (queue.enabled) this.open(queue);
  }

  /** The device cannot go on: the driver must reset it. */
  private giveUp(rule: string, text: string): undefined {
    if ((this.common.status & VIRTIO_CONFIG_S_NEEDS_RESET) !== 0) return;
    this.counters.needsReset++;
    this.fault = { rule, text };
    const told = (this.common.status & VIRTIO_CONFIG_S_DRIVER_OK) !== 0;
    this.common.status |= VIRTIO_CONFIG_S_NEEDS_RESET;
    const { trace } = this.hw;
    if (trace.enabled) trace.emit('needs-reset', { device: this.bdf, rule, text });
    if (told) this.interrupts.config(this.common.configVector);
  }

  private lostRing(queue: VirtQueue): undefined {
    this.giveUp('n3000.ring-area', `queue ${queue.index}: ${queue.fault}`);
  }

  // --- work ---

  private workOf(index: number): AtomicWork {
    return { name: `${this.bdf} queue ${index}`, run: () => this.serve(this.queues[index]!), pending: false, cause: 0 };
  }

  /** Device work of one queue. Receive queues have none: frames that find no buffer are dropped. */
  private serve(queue: VirtQueue): undefined {
    const isControl = queue.index === this.controlIndex();
    // Even queues receive.
    if (!isControl && (queue.index & 1) === 0) return;
    if (!queue.enabled || !this.active) return;
    const ring = queue.open();
    if (ring === null) {
      this.lostRing(queue);
      return;
    }
    this.pageLog.begin();
    if (isControl) this.server.commands(queue, ring);
    else this.server.transmit(queue, ring);
  }

  private receive(): undefined {
    const { port } = this;
    if (port === null) return;
    this.pageLog.begin();
    this.receiver.run(port);
    const written = this.receiver.takeWritten();
    if (written > 0) this.dma.count(0, written);
    for (const queue of this.queues) queue.countRing();
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
    this.interrupts.used(queue, ring, 1);
  }

  // --- configuration ---

  private configChanged(): undefined {
    this.common.generation = (this.common.generation + 1) & 0xff;
    if (this.common.running) this.interrupts.config(this.common.configVector);
  }

  /** Index of the control queue, -1 without. */
  private controlIndex(): number {
    if (!this.common.negotiated(VIRTIO_NET_F_CTRL_VQ)) return -1;
    // virtio 1.2, section 5.1.2: without MQ there is one pair in front of the control queue.
    return this.common.negotiated(VIRTIO_NET_F_MQ) ? 2 * this.settings.queuePairs : 2;
  }

  private setPairs(count: number): boolean {
    if (count < 1 || count > this.settings.queuePairs) return false;
    this.pairs = count;
    return true;
  }

  // --- logging and tracing ---

  private logWritten(): undefined {
    const { control, baseLo, baseHi, endLo, endHi } = this.migration;
    const port = control === 0 ? null : control === 3 ? this.logPort() : this.dma;
    this.pageLog.set(port, baseHi * TWO_32 + baseLo, endHi * TWO_32 + endLo);
    for (const queue of this.queues) queue.relog();
  }

  /** Whose DMA writes the log when the driver asks for the physical function's. */
  protected logPort(): DmaPort {
    return this.dma;
  }

  /** Where writes of the queues are reported: the hardware's log, the observer of all DMA, or both. */
  private queueLog(): DirtyLog | null {
    const observer = this.dma.log;
    if (!this.pageLog.on) return observer;
    return observer === null ? this.pageLog : new BothLogs(this.pageLog, observer);
  }

  private traceTx(length: number): number {
    const { trace } = this.hw;
    return trace.enabled ? trace.emit('tx', { device: this.bdf, length }) : 0;
  }

  private traceRx(queue: VirtQueue, frame: number): undefined {
    const { trace, sched } = this.hw;
    if (!trace.enabled || this.port === null) return;
    sched.cause = this.port.pool.cause[frame]!;
    sched.cause = trace.emit('rx', { device: this.bdf, queue: queue.index, length: this.port.pool.length[frame]! });
  }
}
