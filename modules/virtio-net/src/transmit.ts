/** Sending frames. Mirrors the transmit half of `drivers/net/virtio_net.c` (Linux 6.1). */
import type { Atomic } from '@vdpalab/abi';
import { isKernelError } from '@vdpalab/abi';
import type { MmSymbols, PageRun } from '@vdpalab/mm';
import type { NetDevice, NetdevSymbols, SkBuff } from '@vdpalab/netdev';
import type { Sg, VirtioRingSymbols, Virtqueue } from '@vdpalab/virtio-ring';

/** Descriptors the largest frame may take: a header and its pieces. */
const MAX_PIECES = 18;

/** What sending takes. */
export type TransmitSymbols =
  & Pick<MmSymbols, 'alloc_pages' | 'free_pages' | 'phys_view'>
  & Pick<NetdevSymbols, 'kfree_skb' | 'netif_stop_queue' | 'netif_wake_queue'>
  & Pick<VirtioRingSymbols, 'virtqueue_add_sgs' | 'virtqueue_get_buf' | 'virtqueue_kick' | 'virtqueue_enable_cb_delayed' | 'virtqueue_disable_cb'>;

/** The transmit queue. */
export class Transmitter {
  readonly #k: TransmitSymbols;
  readonly #vq: Virtqueue;
  /** A header that asks for nothing, for frames without room for one of their own. */
  readonly #header: PageRun;
  readonly #headerLength: number;
  /** It has stopped the interface's queue, and is the one to wake it. */
  #stopped = false;

  /** @param headerLength bytes in front of every frame */
  constructor(k: TransmitSymbols, vq: Virtqueue, headerLength: number) {
    this.#k = k;
    this.#vq = vq;
    this.#headerLength = headerLength;
    this.#header = k.alloc_pages(1); // zeroed: no checksum, no segmentation
  }

  /** Descriptors for another frame are there. */
  get hasRoom(): boolean {
    return this.#vq.num_free >= Math.min(MAX_PIECES, this.#vq.num_max);
  }

  /** Atomic. Frames the ring refuses for good are counted and dropped. */
  send(skb: SkBuff, dev: NetDevice): 'NETDEV_TX_OK' | 'NETDEV_TX_BUSY' {
    this.reclaim();
    try {
      this.#k.virtqueue_add_sgs(this.#vq, this.#pieces(skb), [], skb);
    } catch (error) {
      if (!isKernelError(error)) throw error;
      if (error.errno === 'ENOSPC' && !this.hasRoom) {
        this.#stop(dev);
        return 'NETDEV_TX_BUSY';
      }
      dev.stats.tx_errors++;
      dev.stats.tx_dropped++;
      this.#k.kfree_skb(skb);
      return 'NETDEV_TX_OK';
    }
    dev.stats.tx_packets++;
    dev.stats.tx_bytes += skb.len;
    if (!this.hasRoom) this.#stopUntilRoom(dev);
    this.#k.virtqueue_kick(this.#vq);
    return 'NETDEV_TX_OK';
  }

  /** Frames the device has sent are freed. @returns how many */
  reclaim(): number {
    let freed = 0;
    for (let used = this.#k.virtqueue_get_buf(this.#vq); used !== null; used = this.#k.virtqueue_get_buf(this.#vq)) {
      this.#k.kfree_skb(used.data as SkBuff); // every token of this queue is a frame
      freed++;
    }
    return freed;
  }

  /** Frames go on when there is room again. */
  wake(dev: NetDevice): void {
    this.reclaim();
    if (!this.#stopped || !this.hasRoom) return;
    this.#stopped = false;
    this.#k.netif_wake_queue(dev);
  }

  /** Give back a frame that came out of a stopped ring. */
  free(token: unknown): Atomic {
    return this.#k.kfree_skb(token as SkBuff);
  }

  destroy(): Atomic {
    return this.#k.free_pages(this.#header);
  }

  /** The queue stops before it overflows; an interrupt, or what was sent meanwhile, starts it again. */
  #stopUntilRoom(dev: NetDevice): void {
    this.#stop(dev);
    if (this.#k.virtqueue_enable_cb_delayed(this.#vq)) return;
    this.wake(dev);
    if (!this.#stopped) this.#k.virtqueue_disable_cb(this.#vq);
  }

  #stop(dev: NetDevice): void {
    this.#stopped = true;
    this.#k.netif_stop_queue(dev);
  }

  #pieces(skb: SkBuff): Sg[] {
    const [first, ...rest] = skb.frags;
    if (first === undefined || skb.headroom < this.#headerLength) return [{ pa: this.#header.pa, len: this.#headerLength }, ...skb.frags];
    const pa = first.pa - this.#headerLength;
    this.#k.phys_view(pa, this.#headerLength).fill(0);
    return [{ pa, len: this.#headerLength + first.len }, ...rest];
  }
}
