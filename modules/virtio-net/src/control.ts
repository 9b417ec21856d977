/** Commands to the device. Mirrors `virtnet_send_command` of `drivers/net/virtio_net.c` (Linux 6.1). */
import { isKernelError } from '@vdpalab/abi';
import type { Atomic } from '@vdpalab/abi';
import type { DriverCoreSymbols } from '@vdpalab/driver-core';
import type { MmSymbols, PageRun } from '@vdpalab/mm';
import type { SchedSymbols } from '@vdpalab/sched';
import { ERRNO, VIRTIO_NET_ERR, VIRTIO_NET_OK, virtio_net_ctrl_hdr } from '@vdpalab/uapi';
import type { Sg, VirtioDevice, VirtioRingSymbols, Virtqueue } from '@vdpalab/virtio-ring';

/** What commands take. */
export type ControlSymbols =
  & Pick<MmSymbols, 'alloc_pages' | 'free_pages' | 'phys_view'>
  & Pick<VirtioRingSymbols, 'virtqueue_add_sgs' | 'virtqueue_get_buf' | 'virtqueue_kick' | 'virtqueue_is_broken'>
  & Pick<SchedSymbols, 'cpu_relax'> & Pick<DriverCoreSymbols, 'dev_warn'>;

/** Bytes of the device's answer. */
const ACK_SIZE = 1;

/** The control queue: one command at a time, of whoever holds the rtnl lock. */
export class ControlQueue {
  readonly #k: ControlSymbols;
  readonly #vdev: VirtioDevice;
  readonly #vq: Virtqueue;
  /** Command, data and answer, one after the other. */
  readonly #page: PageRun;

  constructor(k: ControlSymbols, vdev: VirtioDevice, vq: Virtqueue) {
    this.#k = k;
    this.#vdev = vdev;
    this.#vq = vq;
    this.#page = k.alloc_pages(1);
  }

  /**
   * Send one command and wait for the answer of a device that is there.
   *
   * @param kind VIRTIO_NET_CTRL_*
   * @param data pieces the device reads behind the header
   * @returns whether the device says that it did it
   */
  async send(kind: number, cmd: number, ...data: readonly Uint8Array[]): Promise<boolean> {
    const k = this.#k;
    const { pa } = this.#page;
    const pieces = [virtio_net_ctrl_hdr.encode({ class: kind, cmd }), ...data];
    const out: Sg[] = [];
    let end = 0;
    for (const piece of pieces) {
      out.push({ pa: pa + end, len: piece.length });
      end += piece.length;
    }
    const bytes = k.phys_view(pa, end + ACK_SIZE);
    for (const [i, { pa: at }] of out.entries()) bytes.set(pieces[i]!, at - pa);
    bytes[end] = VIRTIO_NET_ERR; // unless the device says otherwise
    try {
      k.virtqueue_add_sgs(this.#vq, out, [{ pa: pa + end, len: ACK_SIZE }], this);
    } catch (error) {
      if (!isKernelError(error)) throw error;
      k.dev_warn(this.#vdev.dev, `Failed to add sgs for command vq: ${-ERRNO[error.errno]}`);
      return false;
    }
    if (!k.virtqueue_kick(this.#vq)) return bytes[end] === VIRTIO_NET_OK;
    while (k.virtqueue_get_buf(this.#vq) === null && !k.virtqueue_is_broken(this.#vq)) await k.cpu_relax();
    return bytes[end] === VIRTIO_NET_OK;
  }

  destroy(): Atomic {
    return this.#k.free_pages(this.#page);
  }
}
