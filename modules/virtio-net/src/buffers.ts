/** Receive buffers and the frames made of them. Mirrors the receive half of `drivers/net/virtio_net.c` (Linux 6.1). */
import type { Atomic } from '@vdpalab/abi';
import { isKernelError } from '@vdpalab/abi';
import type { MmSymbols, PageRun } from '@vdpalab/mm';
import type { NetDevice, NetdevSymbols, SkBuff, SkbFrag } from '@vdpalab/netdev';
import { ETH_DATA_LEN, ETH_HLEN, virtio_net_hdr, virtio_net_hdr_v1 } from '@vdpalab/uapi';
import type { VirtioRingSymbols, Virtqueue } from '@vdpalab/virtio-ring';

const PAGE_SIZE = 4096;
const VLAN_HLEN = 4;
/**
 * Bytes in front of every frame.
 *
 * @param counted whether the header counts buffers: on devices since virtio 1.0, and where buffers merge
 */
export function headerLength(counted: boolean): number {
  return counted ? virtio_net_hdr_v1.size : virtio_net_hdr.size;
}

/** What receiving takes. */
export type ReceiveSymbols =
  & Pick<MmSymbols, 'alloc_pages' | 'free_pages' | 'phys_view'>
  & Pick<NetdevSymbols, 'build_skb' | 'netif_receive_skb'>
  & Pick<VirtioRingSymbols, 'virtqueue_add_sgs' | 'virtqueue_get_buf' | 'virtqueue_kick'>;

/** The receive queue's buffers. */
export class ReceiveBuffers {
  readonly #k: ReceiveSymbols;
  readonly #vq: Virtqueue;
  readonly #dev: NetDevice;
  readonly #mergeable: boolean;
  readonly #header: number;
  /** Pages of one buffer: one when frames may span buffers, else enough for the MTU the device came with. */
  readonly #pages: number;

  /** @param header bytes in front of every frame */
  constructor(k: ReceiveSymbols, vq: Virtqueue, dev: NetDevice, mergeable: boolean, header: number) {
    this.#k = k;
    this.#vq = vq;
    this.#dev = dev;
    this.#mergeable = mergeable;
    this.#header = header;
    this.#pages = mergeable ? 1 : Math.ceil((header + ETH_HLEN + VLAN_HLEN + Math.max(dev.mtu, ETH_DATA_LEN)) / PAGE_SIZE);
  }

  /** Fill the ring. @returns false when memory ran out before it was full: try again later */
  fill(): boolean {
    let added = 0;
    let enough = true;
    while (this.#vq.num_free > 0) {
      try {
        this.#add();
      } catch (error) {
        if (!isKernelError(error)) throw error;
        enough = error.errno !== 'ENOMEM';
        break;
      }
      added++;
    }
    if (added > 0) this.#k.virtqueue_kick(this.#vq);
    return enough;
  }

  /** Receive up to `budget` frames. @returns frames taken out of the ring */
  receive(budget: number): number {
    let received = 0;
    while (received < budget) {
      const used = this.#k.virtqueue_get_buf(this.#vq);
      if (used === null) break;
      received++;
      this.#frame(used.data as PageRun, used.len); // every token of this queue is a run
    }
    return received;
  }

  /** Give back a buffer that came out of a stopped ring. */
  free(token: unknown): Atomic {
    return this.#k.free_pages(token as PageRun);
  }

  #add(): void {
    const run = this.#k.alloc_pages(this.#pages);
    try {
      this.#k.virtqueue_add_sgs(this.#vq, [], [{ pa: run.pa, len: run.pages * PAGE_SIZE }], run);
    } catch (error) {
      this.#k.free_pages(run);
      throw error;
    }
  }

  /** Make a frame of this buffer and, when it says so, the next ones. A frame with a length that cannot be is dropped whole. */
  #frame(first: PageRun, len: number): void {
    const { stats } = this.#dev;
    const runs = [first];
    const frags: SkbFrag[] = [{ pa: first.pa + this.#header, len: len - this.#header }];
    let sound = len >= this.#header + ETH_HLEN && len <= first.pages * PAGE_SIZE;
    for (let n = this.#buffersOf(first); n > 1; n--) {
      const used = this.#k.virtqueue_get_buf(this.#vq);
      if (used === null) {
        sound = false; // the device said more buffers than it used
        break;
      }
      const run = used.data as PageRun; // every token of this queue is a run
      sound &&= used.len <= run.pages * PAGE_SIZE;
      runs.push(run);
      frags.push({ pa: run.pa, len: used.len });
    }
    if (!sound) {
      stats.rx_length_errors++;
      for (const run of runs) this.#k.free_pages(run);
      return;
    }
    const skb: SkBuff = this.#k.build_skb(runs, frags);
    skb.dev = this.#dev;
    stats.rx_packets++;
    stats.rx_bytes += skb.len;
    this.#k.netif_receive_skb(skb);
  }

  /** `num_buffers` of the header a frame begins with. */
  #buffersOf(first: PageRun): number {
    if (!this.#mergeable) return 1;
    const at = virtio_net_hdr_v1.offsets.num_buffers;
    const header = this.#k.phys_view(first.pa, this.#header);
    return (header[at] as number) | ((header[at + 1] as number) << 8); // the view is as long as the header
  }
}
