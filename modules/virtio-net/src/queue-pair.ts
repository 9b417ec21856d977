/** One receive and one transmit queue of an interface, polled by NAPI. Mirrors `struct receive_queue`, `struct send_queue` of `drivers/net/virtio_net.c` (Linux 6.1). */
import type { Atomic, TimerHandle } from '@vdpalab/abi';
import type { NapiStruct, NetDevice, NetdevSymbols, SkBuff } from '@vdpalab/netdev';
import type { SchedSymbols, Work } from '@vdpalab/sched';
import type { VirtioRingSymbols, Virtqueue } from '@vdpalab/virtio-ring';
import { ReceiveBuffers, type ReceiveSymbols } from './buffers.ts';
import { Transmitter, type TransmitSymbols } from './transmit.ts';

/** What a pair takes of the kernel. */
export type PairSymbols =
  & ReceiveSymbols & TransmitSymbols
  & Pick<VirtioRingSymbols, 'virtqueue_disable_cb' | 'virtqueue_enable_cb_prepare' | 'virtqueue_poll' | 'virtqueue_detach_unused_buf'>
  & Pick<NetdevSymbols, 'netif_napi_add' | 'netif_napi_del' | 'napi_enable' | 'napi_disable' | 'napi_schedule' | 'napi_complete_done'>
  & Pick<SchedSymbols, 'INIT_WORK' | 'queue_work' | 'cancel_work_sync' | 'system_wq' | 'mod_timer'>;

/** Frames one turn of a poll takes. */
const NAPI_POLL_WEIGHT = 64;
/** Pause before filling the receive ring again when memory was short, ns. */
const REFILL_DELAY_NS = 500_000_000;

/** Rings of a pair, and how frames lie in them. */
export interface PairRings {
  readonly rxq: Virtqueue;
  readonly txq: Virtqueue;
  /** Whether a frame may span buffers. */
  readonly mergeable: boolean;
  /** Bytes in front of every frame. */
  readonly header: number;
}

/** A queue pair. */
export class QueuePair {
  readonly #k: PairSymbols;
  readonly #dev: NetDevice;
  readonly #rxq: Virtqueue;
  readonly #txq: Virtqueue;
  readonly #rx: ReceiveBuffers;
  readonly #tx: Transmitter;
  readonly #rxNapi: NapiStruct;
  readonly #txNapi: NapiStruct;
  readonly #refillWork: Work;
  #refillTimer: TimerHandle | null = null;
  #open = false;

  constructor(k: PairSymbols, dev: NetDevice, { rxq, txq, mergeable, header }: PairRings) {
    this.#k = k;
    this.#dev = dev;
    this.#rxq = rxq;
    this.#txq = txq;
    this.#rx = new ReceiveBuffers(k, rxq, dev, mergeable, header);
    this.#tx = new Transmitter(k, txq, header);
    this.#rxNapi = k.netif_napi_add(dev, rxq.name, NAPI_POLL_WEIGHT, (budget) => this.#pollRx(budget));
    this.#txNapi = k.netif_napi_add(dev, txq.name, NAPI_POLL_WEIGHT, () => this.#pollTx());
    this.#refillWork = k.INIT_WORK(`virtio-net refill ${rxq.name}`, async () => this.#refill());
  }

  /** The device used buffers: atomic. */
  rxInterrupt(): Atomic {
    return this.#interrupt(this.#rxq, this.#rxNapi);
  }

  txInterrupt(): Atomic {
    return this.#interrupt(this.#txq, this.#txNapi);
  }

  /** Atomic. */
  send(skb: SkBuff): 'NETDEV_TX_OK' | 'NETDEV_TX_BUSY' {
    return this.#tx.send(skb, this.#dev);
  }

  start(): void {
    const k = this.#k;
    this.#open = true;
    this.#fill();
    for (const napi of [this.#rxNapi, this.#txNapi]) {
      k.napi_enable(napi);
      k.napi_schedule(napi); // what was used before interrupts were listened to
    }
  }

  async stop(): Promise<void> {
    this.#open = false;
    await this.#k.cancel_work_sync(this.#refillWork);
    this.#refillTimer?.cancel();
    await this.#k.napi_disable(this.#rxNapi);
    await this.#k.napi_disable(this.#txNapi);
  }

  /** Take back what the stopped device still had. */
  drain(): void {
    const k = this.#k;
    for (let t = k.virtqueue_detach_unused_buf(this.#rxq); t !== undefined; t = k.virtqueue_detach_unused_buf(this.#rxq)) this.#rx.free(t);
    for (let t = k.virtqueue_detach_unused_buf(this.#txq); t !== undefined; t = k.virtqueue_detach_unused_buf(this.#txq)) this.#tx.free(t);
  }

  destroy(): Atomic {
    this.#k.netif_napi_del(this.#rxNapi);
    this.#k.netif_napi_del(this.#txNapi);
    return this.#tx.destroy();
  }

  #interrupt(vq: Virtqueue, napi: NapiStruct): Atomic {
    if (this.#k.napi_schedule(napi)) this.#k.virtqueue_disable_cb(vq);
    return undefined;
  }

  #pollRx(budget: number): number {
    const received = this.#rx.receive(budget);
    if (this.#rxq.num_free > Math.min(budget, this.#rxq.num_max) / 2) this.#fill();
    if (received < budget) this.#complete(this.#rxq, this.#rxNapi, received);
    return received;
  }

  #pollTx(): number {
    this.#tx.wake(this.#dev);
    this.#complete(this.#txq, this.#txNapi, 0);
    return 0;
  }

  /** Interrupts on again, unless something was used in between. */
  #complete(vq: Virtqueue, napi: NapiStruct, work: number): void {
    const k = this.#k;
    const mark = k.virtqueue_enable_cb_prepare(vq);
    if (k.napi_complete_done(napi, work)) {
      if (k.virtqueue_poll(vq, mark)) this.#interrupt(vq, napi);
    } else {
      k.virtqueue_disable_cb(vq);
    }
  }

  /** Fill the receive ring, now or, when memory is short, soon. */
  #fill(): void {
    if (!this.#rx.fill()) this.#k.queue_work(this.#k.system_wq, this.#refillWork);
  }

  /** Try again, and again later while memory is short. */
  #refill(): undefined {
    if (!this.#open || this.#rx.fill()) return;
    this.#refillTimer = this.#k.mod_timer('virtio-net refill', REFILL_DELAY_NS, (): undefined => {
      this.#k.queue_work(this.#k.system_wq, this.#refillWork);
    });
  }
}
