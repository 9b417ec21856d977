/**
 * A virtio function on PCI: registers, queues, interrupts, reset. Where its registers lie, and what its queues do, is its
 * own affair.
 */
import type { AtomicWork } from '@vdpalab/abi';
import { VIRTIO_CONFIG_S_DRIVER_OK, VIRTIO_CONFIG_S_NEEDS_RESET, VIRTIO_F_RING_PACKED, VIRTIO_RING_F_EVENT_IDX } from '@vdpalab/uapi';
import type { DirtyLog } from '@vdpalab/vring';
import { PciFunction } from '../pci/function.ts';
import type { FunctionParts, FunctionSite } from '../pci/function.ts';
import { CommonConfig } from './common-config.ts';
import type { VirtioCounters } from './counters.ts';
import { featureWords } from './features.ts';
import { Interrupts } from './interrupts.ts';
import { VirtQueue } from './queue.ts';
import type { DeviceRing } from './queue.ts';
import { QueueServer } from './serve.ts';

/** Why a function gave up. */
export interface DeviceFault {
  /** Stable id of the check that failed. */
  readonly rule: string;
  readonly text: string;
}

/** What a virtio function is made with. */
export interface VirtioInit<C extends VirtioCounters> {
  readonly counters: C;
  /** Feature bits offered. */
  readonly features: readonly number[];
  readonly queues: number;
  /** Largest queue, in descriptors. */
  readonly queueSize: number;
}

/** One virtio function. */
export abstract class VirtioFunction<C extends VirtioCounters> extends PciFunction {
  readonly counters: C;
  readonly queues: readonly VirtQueue[];
  readonly common: CommonConfig;
  /** Why NEEDS_RESET was set last; `null` since the last reset. */
  fault: DeviceFault | null = null;
  protected readonly interrupts: Interrupts;
  protected readonly server: QueueServer;

  constructor(site: FunctionSite, parts: FunctionParts, init: VirtioInit<C>) {
    super(site, parts);
    this.counters = init.counters;
    this.queues = Array.from({ length: init.queues }, (_, i) => new VirtQueue(i, init.queueSize, this.workOf(i)));
    this.common = new CommonConfig(featureWords(init.features), this.queues, parts.msix?.count ?? 0, {
      reset: () => this.resetDevice(),
      driverOk: () => this.started(),
      enable: (queue) => this.enable(queue),
      disable: (queue) => queue.disable(),
      resetQueue: (queue) => queue.reset(),
    });
    this.interrupts = new Interrupts(this.bdf, this.hw, this, init.counters);
    this.server = new QueueServer({
      dma: () => this.dma,
      running: () => this.common.running,
      log: () => this.queueLog(),
      watch: (queue, ns) => this.hw.sched.watch(queue.watched, ns),
      again: (queue) => this.hw.sched.raise(queue.work),
      giveUp: (rule, text) => this.giveUp(rule, text),
    }, this.interrupts, init.counters);
  }

  /** Whether the device kicks off work for a queue; others only take what the driver puts there. */
  protected abstract works(queue: VirtQueue): boolean;
  /** Serve a queue that may run; its ring is open. */
  protected abstract serve(queue: VirtQueue, ring: DeviceRing): undefined;
  /** The model's own state as at power-on. */
  protected abstract onDeviceReset(): undefined;

  /** The driver said that it drives: features are settled. */
  protected onDriverOk(): undefined {
    return undefined;
  }

  /** Where writes of the queues are reported; `null` while nobody wants to know. */
  protected queueLog(): DirtyLog | null {
    return this.dma.log;
  }

  /** A queue may run. */
  protected get active(): boolean {
    return this.common.running && this.busMaster;
  }

  /** A doorbell was written. @param value which queue it names; @param doorbell whose doorbell it is, any queue's when absent */
  protected kick(value: number, doorbell = value): undefined {
    const queue = this.queues[doorbell];
    if (queue === undefined || value !== doorbell) {
      this.counters.badKicks++;
      return;
    }
    this.counters.kicks++;
    const { trace, sched } = this.hw;
    const outer = sched.cause;
    if (trace.enabled) sched.cause = trace.emit('kick', { device: this.bdf, queue: doorbell });
    sched.raise(queue.work);
    sched.cause = outer;
  }

  /** The device configuration changed: the generation rises, and the driver hears of it. */
  protected configChanged(): undefined {
    this.common.generation = (this.common.generation + 1) & 0xff;
    if (this.common.running) this.interrupts.config(this.common.configVector);
  }

  /** The device cannot go on: the driver must reset it. */
  protected giveUp(rule: string, text: string): undefined {
    if ((this.common.status & VIRTIO_CONFIG_S_NEEDS_RESET) !== 0) return;
    this.counters.needsReset++;
    this.fault = { rule, text };
    const told = (this.common.status & VIRTIO_CONFIG_S_DRIVER_OK) !== 0;
    this.common.status |= VIRTIO_CONFIG_S_NEEDS_RESET;
    const { trace } = this.hw;
    if (trace.enabled) trace.emit('needs-reset', { device: this.bdf, rule, text });
    if (told) this.interrupts.config(this.common.configVector);
  }

  protected lostRing(queue: VirtQueue): undefined {
    this.giveUp('virtio.ring-area', `queue ${queue.index}: ${queue.fault}`);
  }

  protected onReset(): undefined {
    this.resetDevice();
  }

  protected override onBusMaster(on: boolean): undefined {
    if (on) for (const queue of this.queues) if (queue.enabled) this.open(queue);
  }

  private enable(queue: VirtQueue): undefined {
    const packed = this.common.negotiated(VIRTIO_F_RING_PACKED);
    if (queue.refusedSize !== null) {
      this.giveUp('virtio.queue-size', `queue ${queue.index}: size ${queue.refusedSize}, not ${packed ? '1' : 'a power of two up'} to ${queue.max}`);
      return;
    }
    queue.enable({
      port: this.dma,
      eventIdx: this.common.negotiated(VIRTIO_RING_F_EVENT_IDX),
      packed,
      log: () => this.queueLog(),
    });
    if (this.common.running) this.open(queue);
  }

  private started(): undefined {
    this.onDriverOk();
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
    this.onDeviceReset();
    this.interrupts.takeIsr();
    this.fault = null;
  }

  private workOf(index: number): AtomicWork {
    return { name: `${this.bdf} queue ${index}`, run: () => this.work(this.queues[index]!), pending: false, cause: 0 };
  }

  private work(queue: VirtQueue): undefined {
    if (!this.works(queue) || !queue.enabled || !this.active) return;
    const ring = queue.open();
    if (ring === null) this.lostRing(queue);
    else this.serve(queue, ring);
  }
}
