/** A network driver for tests: one page for each direction, one queue pair, and it keeps what it receives. */
import type { PageRun } from '@vdpalab/mm';
import { VIRTIO_ID_NET, VIRTIO_NET_F_MAC, VIRTIO_NET_F_MRG_RXBUF } from '@vdpalab/uapi';
import type { VirtioDriver } from '@vdpalab/virtio';
import type { VirtioDevice, Virtqueue } from '@vdpalab/virtio-ring';
import type { ChainKernel } from './kernel.ts';

/** Bytes in front of a frame. */
const HEADER = 12;

/** The driver. */
export interface ToyNet extends VirtioDriver {
  /** Frames that arrived. */
  readonly received: Uint8Array[];
  readonly send: (vdev: VirtioDevice, frame: Uint8Array) => undefined;
}

/** Make the driver; register it with `register_virtio_driver`. */
export function toyNet(kernel: ChainKernel, name = 'toy_net'): ToyNet {
  const { k } = kernel;
  const received: Uint8Array[] = [];
  const pages = new Map<VirtioDevice, { rx: PageRun; tx: PageRun }>();

  async function setUp(vdev: VirtioDevice, rx: PageRun): Promise<void> {
    const take = (vq: Virtqueue): undefined => {
      for (let used = k.virtqueue_get_buf(vq); used !== null; used = k.virtqueue_get_buf(vq)) {
        if (used.data === 'rx') received.push(k.phys_view(rx.pa + HEADER, used.len - HEADER).slice());
      }
    };
    const [input] = await k.virtio_find_vqs(vdev, [{ name: 'input', callback: take }, { name: 'output', callback: take }]);
    k.virtqueue_add_sgs(input!, [], [{ pa: rx.pa, len: 4096 }], 'rx');
    await k.virtio_device_ready(vdev);
    k.virtqueue_kick(input!);
  }

  async function tearDown(vdev: VirtioDevice): Promise<void> {
    await k.virtio_reset_device(vdev);
    for (const vq of vdev.vqs) while (k.virtqueue_detach_unused_buf(vq) !== undefined);
    await k.virtio_del_vqs(vdev);
    const { rx, tx } = pages.get(vdev)!;
    k.free_pages(rx);
    k.free_pages(tx);
    pages.delete(vdev);
  }

  return {
    name, owner: { name, state: 'live' }, received,
    id_table: [{ device: VIRTIO_ID_NET, vendor: null }],
    feature_table: [VIRTIO_NET_F_MAC, VIRTIO_NET_F_MRG_RXBUF],
    async probe(vdev) {
      const { rx, tx } = { rx: k.alloc_pages(1), tx: k.alloc_pages(1) };
      pages.set(vdev, { rx, tx });
      try {
        await setUp(vdev, rx);
      } catch (error) {
        await tearDown(vdev);
        throw error;
      }
    },
    remove: tearDown,
    send(vdev, frame) {
      const { tx } = pages.get(vdev)!;
      k.phys_view(tx.pa, 4096).fill(0).set(frame, HEADER);
      k.virtqueue_add_sgs(vdev.vqs[1]!, [{ pa: tx.pa, len: HEADER + frame.length }], [], 'tx');
      k.virtqueue_kick(vdev.vqs[1]!);
    },
  };
}

/** An Ethernet frame of 60 bytes. */
export function frame(to: Uint8Array | 'broadcast', from: Uint8Array, fill: number): Uint8Array {
  const bytes = new Uint8Array(60).fill(fill);
  bytes.set(to === 'broadcast' ? new Uint8Array(6).fill(0xff) : to, 0);
  bytes.set(from, 6);
  return bytes;
}
