/** A virtio queue as an object of the device: VIRTIO_NET_Q. */
import {
  MLX5_EVENT_TYPE_COMP, MLX5_EVENT_TYPE_OBJECT_CHANGE, MLX5_OBJ_TYPE_VIRTIO_NET_Q, MLX5_VIRTIO_NET_Q_OBJECT_STATE_ERR,
  MLX5_VIRTIO_NET_Q_OBJECT_STATE_INIT, MLX5_VIRTIO_NET_Q_OBJECT_STATE_RDY, MLX5_VIRTIO_NET_Q_OBJECT_STATE_SUSPEND,
  MLX5_VIRTIO_Q_EVENT_MODE_MSIX_MODE, MLX5_VIRTIO_Q_EVENT_MODE_QP_MODE, mlx5_eqe_comp, mlx5_eqe_obj_change, virtio_net_hdr, virtio_net_hdr_v1,
} from '@vdpalab/uapi';
import type { RingState } from '@vdpalab/vring';
import type { DmaPort } from '../dma.ts';
import type { HwMachine } from '../machine.ts';
import type { NetCounters } from '../virtio/counters.ts';
import { Interrupts } from '../virtio/interrupts.ts';
import { VirtQueue } from '../virtio/queue.ts';
import { QueueServer } from '../virtio/serve.ts';
import type { Transmitter } from '../virtio/transmit.ts';
import type { EventQueue } from './event-queue.ts';
import { KeyedPort } from './keyed-port.ts';
import type { KeyedSite } from './keyed-port.ts';
import type { MemoryKey } from './memory-keys.ts';
import { Refusal } from './refusal.ts';
import type { VirtioQueueCounters } from './resources.ts';

/** Largest queue, in descriptors. */
export const QUEUE_SIZE_MAX = 1024;

/** What CREATE_GENERAL_OBJECT says of a queue. */
export interface VirtioQueueSettings {
  /** Even receives, odd sends. */
  readonly index: number;
  readonly packed: boolean;
  readonly size: number;
  readonly descAddr: number;
  readonly availAddr: number;
  readonly usedAddr: number;
  readonly key: MemoryKey;
  /** MLX5_VIRTIO_Q_EVENT_MODE_* */
  readonly eventMode: number;
  /** MSI-X vector, or number of the completion queue. */
  readonly event: number;
  /** Event queue of that completion queue. */
  readonly eventQueue: EventQueue | null;
  readonly modern: boolean;
  readonly mergeable: boolean;
  readonly state: RingState;
  readonly counters: VirtioQueueCounters | null;
}

/** The function a queue is one of. */
export interface VirtioQueueSite extends KeyedSite {
  readonly name: string;
  readonly hw: HwMachine;
  readonly counters: NetCounters;
  /** `null` without bus mastering. */
  readonly dma: () => DmaPort | null;
  readonly interrupt: (vector: number) => undefined;
  /** Raise an event of the function. */
  readonly post: (type: number, subType: number, data: Uint8Array) => undefined;
  readonly transmitter: () => Transmitter;
}

/** One queue. */
export class VirtioQueue {
  readonly number: number;
  readonly settings: VirtioQueueSettings;
  readonly queue: VirtQueue;
  readonly headerSize: number;
  /** Its way to memory. */
  readonly port: KeyedPort;
  /** MLX5_VIRTIO_NET_Q_OBJECT_STATE_* */
  state: number = MLX5_VIRTIO_NET_Q_OBJECT_STATE_INIT;
  /** Why it is in ERR; empty while it is not. */
  fault = '';
  /** Receive tables that name it. */
  users = 0;
  private readonly site: VirtioQueueSite;
  private readonly server: QueueServer;
  private readonly interrupts: Interrupts;
  private counted: RingState;

  /** @throws Refusal BAD_PARAM for its size */
  constructor(number: number, settings: VirtioQueueSettings, site: VirtioQueueSite) {
    this.number = number;
    this.settings = settings;
    this.site = site;
    this.headerSize = settings.modern || settings.mergeable ? virtio_net_hdr_v1.size : virtio_net_hdr.size;
    const name = `${site.name} queue ${settings.index}`;
    this.queue = new VirtQueue(settings.index, QUEUE_SIZE_MAX, { name, run: () => this.work(), pending: false, cause: 0 });
    this.queue.setSize(settings.size, settings.packed);
    if (this.queue.refusedSize !== null) throw new Refusal('virtq.size');
    const { queue } = this;
    [queue.descLo, queue.descHi] = halves(settings.descAddr);
    [queue.availLo, queue.availHi] = halves(settings.availAddr);
    [queue.usedLo, queue.usedHi] = halves(settings.usedAddr);
    queue.state = settings.state;
    queue.vector = 0; // all interrupts of a queue are one
    this.counted = settings.state;
    this.interrupts = new Interrupts(site.name, site.hw, { msix: { on: true, fire: () => this.tell() }, pin: () => undefined }, site.counters);
    this.server = new QueueServer({
      dma: () => this.port,
      running: () => this.running,
      log: () => this.port.log,
      watch: (_queue, ns) => site.hw.sched.watch(queue.watched, ns),
      again: () => site.hw.sched.raise(queue.work),
      giveUp: (rule, text) => this.fail(rule, text),
    }, this.interrupts, site.counters);
    settings.key.users++;
    this.port = new KeyedPort(site, settings.key.key, site.dma()!); // the command that makes it came by DMA
  }

  get running(): boolean {
    return this.state === MLX5_VIRTIO_NET_Q_OBJECT_STATE_RDY && this.site.dma() !== null;
  }

  get sends(): boolean {
    return (this.settings.index & 1) === 1;
  }

  /** Where it is in its rings. */
  get indices(): RingState {
    return this.queue.state;
  }

  /** INIT to RDY, RDY to SUSPEND. @throws Refusal BAD_RES_STATE for any other change */
  setState(state: number): undefined {
    if (this.state === MLX5_VIRTIO_NET_Q_OBJECT_STATE_INIT && state === MLX5_VIRTIO_NET_Q_OBJECT_STATE_RDY) this.start();
    else if (this.state === MLX5_VIRTIO_NET_Q_OBJECT_STATE_RDY && state === MLX5_VIRTIO_NET_Q_OBJECT_STATE_SUSPEND) this.stop(state);
    else throw new Refusal('virtq.state');
  }

  /** A doorbell: receive queues take what is there when a frame comes. */
  kick(): undefined {
    if (this.sends && this.queue.enabled) this.site.hw.sched.raise(this.queue.work);
  }

  /** Frames went in: publish them. */
  publish(): undefined {
    const ring = this.queue.open();
    if (ring === null) return;
    ring.flush();
    if (this.queue.foreign) this.queue.askForKicks(false); // frames that find no buffer are dropped: nobody waits for one
    this.interrupts.used(this.queue, ring, 1);
    this.queue.countRing();
    this.count();
  }

  /** A chain was refused. @returns whether the queue goes on */
  refused(): boolean {
    const ring = this.queue.open();
    return ring !== null && this.server.refused(this.queue, ring);
  }

  /** The queue cannot go on. */
  fail(rule: string, text: string): undefined {
    if (this.state === MLX5_VIRTIO_NET_Q_OBJECT_STATE_ERR) return;
    this.stop(MLX5_VIRTIO_NET_Q_OBJECT_STATE_ERR);
    this.fault = `${rule}: ${text}`;
    if (this.settings.counters !== null) this.settings.counters.errors++;
    const { trace } = this.site.hw;
    if (trace.enabled) trace.emit('queue-error', { device: this.site.name, queue: this.settings.index, rule, text });
    this.site.post(MLX5_EVENT_TYPE_OBJECT_CHANGE, 0, mlx5_eqe_obj_change.make({ obj_type: MLX5_OBJ_TYPE_VIRTIO_NET_Q, obj_id: this.number }));
  }

  destroy(): undefined {
    this.queue.disable();
    this.settings.key.users--;
  }

  /** Ring out of reach. */
  lost(): undefined {
    this.fail('virtio.ring-area', this.queue.fault);
  }

  private start(): undefined {
    this.state = MLX5_VIRTIO_NET_Q_OBJECT_STATE_RDY;
    this.queue.enable({ port: this.port, eventIdx: false, packed: this.settings.packed, log: () => this.port.log });
    if (!this.running) return;
    if (this.queue.open() === null) this.lost();
    else this.kick();
  }

  private stop(state: number): undefined {
    this.state = state;
    this.queue.disable();
    this.count();
  }

  private work(): undefined {
    if (!this.running) return;
    const ring = this.queue.open();
    if (ring === null) {
      this.lost();
      return;
    }
    this.server.transmit(this.queue, ring, this.site.transmitter());
    this.count();
  }

  /** Chains taken and given back since the last look; never as many as an index has numbers. */
  private count(): undefined {
    const { counters } = this.settings;
    const { lastAvail, lastUsed } = this.queue.state;
    if (counters !== null) {
      counters.received += BigInt((lastAvail - this.counted.lastAvail) & 0xffff);
      counters.completed += BigInt((lastUsed - this.counted.lastUsed) & 0xffff);
    }
    this.counted = { lastAvail, lastUsed };
  }

  private tell(): boolean {
    const { eventMode, event, eventQueue } = this.settings;
    if (eventMode === MLX5_VIRTIO_Q_EVENT_MODE_MSIX_MODE) this.site.interrupt(event);
    if (eventMode === MLX5_VIRTIO_Q_EVENT_MODE_QP_MODE) eventQueue?.post(MLX5_EVENT_TYPE_COMP, 0, mlx5_eqe_comp.make({ cqn: event }));
    return true;
  }
}

/** Low and high half of an address below 2^53. */
function halves(address: number): [number, number] {
  return [address >>> 0, Math.floor(address / 0x1_0000_0000)];
}
