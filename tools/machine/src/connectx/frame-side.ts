/** A function's frames: between its virtio queues and the network, by its flow tables. */
import { newNetCounters } from '../virtio/counters.ts';
import { flowHash } from '../virtio/flow.ts';
import type { VirtQueue } from '../virtio/queue.ts';
import { Receiver } from '../virtio/receive.ts';
import { Transmitter } from '../virtio/transmit.ts';
import type { NetPort } from '../net/port.ts';
import type { FlowRule } from './flow-tables.ts';
import type { Vhca } from './vhca.ts';
import type { VirtioQueue } from './virtio-queue.ts';

/** Where frames come in and go out. */
export class FrameSide {
  readonly counters = newNetCounters();
  readonly transmitter: Transmitter;
  /** Plugged in while the function is initialised. */
  port: NetPort | null = null;
  private readonly vhca: Vhca;
  private readonly receiver: Receiver;
  /** The entry that the frame at hand matches, and its queue; the queue that sends now. */
  private rule: FlowRule | null = null;
  private at: VirtioQueue | null = null;

  constructor(vhca: Vhca) {
    this.vhca = vhca;
    const { mtu } = vhca.chip.config;
    this.transmitter = new Transmitter(mtu, {
      port: () => (vhca.linkUp ? this.port : null),
      headerSize: () => this.at!.headerSize, // a queue that sends
      traced: () => vhca.chip.hw.trace.enabled,
      trace: (length) => this.trace('tx', { length }),
    }, this.counters);
    this.receiver = new Receiver(mtu, {
      accepts: (u8, at) => this.accepts(u8, at),
      queue: (u8, at, length) => this.queueOf(u8, at, length),
      headerSize: () => this.at!.headerSize, // queueOf found it
      mergeable: () => this.at!.settings.mergeable,
      trace: (queue, frame) => this.received(queue, frame),
      used: (queue) => this.of(queue)?.publish(),
      unreachable: (queue) => this.of(queue)?.lost(),
      refused: (queue) => this.of(queue)?.refused() ?? false,
    }, this.counters);
  }

  /** The transmitter, for a queue. */
  for(queue: VirtioQueue): Transmitter {
    this.at = queue;
    return this.transmitter;
  }

  /** Plug into the network. */
  start(): undefined {
    this.port = this.vhca.chip.plug(this.vhca.name);
    if (this.port !== null) this.port.receiver = (port) => this.receive(port);
  }

  /** Pull the cable. */
  stop(): undefined {
    this.port?.unplug();
    this.port = null;
  }

  /** A doorbell with a queue's index. */
  kick(index: number): undefined {
    const queue = this.byIndex(index);
    if (queue === null) this.counters.badKicks++;
    else {
      this.counters.kicks++;
      queue.kick();
    }
  }

  private byIndex(index: number): VirtioQueue | null {
    for (const queue of this.vhca.resources.queues.values()) if (queue.settings.index === index) return queue;
    return null;
  }

  private of(queue: VirtQueue): VirtioQueue | null {
    return this.byIndex(queue.index);
  }

  private receive(port: NetPort): undefined {
    this.receiver.run(port);
    const written = this.receiver.takeWritten();
    if (written > 0) this.vhca.chip.dma()?.count(0, written);
  }

  /** From the wire past the L2 table, then through the flow table. */
  private accepts(u8: Uint8Array, at: number): boolean {
    const { chip, resources } = this.vhca;
    this.rule = null;
    if (chip.config.promisc === false && (u8[at]! & 1) === 0 && !chip.l2.has(u8, at)) return false;
    this.rule = resources.flowRoot?.match(u8, at) ?? null;
    return this.rule !== null;
  }

  private queueOf(u8: Uint8Array, at: number, length: number): VirtQueue | null {
    const { tir, counter } = this.rule!; // accepts found it
    if (counter !== null) {
      counter.packets++;
      counter.octets += BigInt(length);
    }
    const { resources, linkUp } = this.vhca;
    const queues = (tir === null ? null : resources.tirs.peek(tir)?.rqt?.queues) ?? [];
    if (queues.length === 0 || !linkUp) return null;
    const chosen = queues[queues.length === 1 ? 0 : flowHash(u8, at, length) % queues.length]!;
    this.at = resources.queues.peek(chosen) ?? null;
    return this.at?.running === true ? this.at.queue : null;
  }

  private received(queue: VirtQueue, frame: number): undefined {
    const { sched } = this.vhca.chip.hw;
    if (this.port === null || !this.vhca.chip.hw.trace.enabled) return;
    sched.cause = this.port.pool.cause[frame]!;
    sched.cause = this.trace('rx', { queue: queue.index, length: this.port.pool.length[frame]! });
  }

  private trace(event: string, data: Record<string, number>): number {
    const { trace } = this.vhca.chip.hw;
    return trace.enabled ? trace.emit(event, { device: this.vhca.name, ...data }) : 0;
  }
}
