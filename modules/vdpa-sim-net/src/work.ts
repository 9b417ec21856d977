/**
 * What the simulator does with its rings: each frame that is sent comes back on the receive queue, when its destination
 * is the device's own address, broadcast or multicast. Mirrors `vdpasim_net_work` of
 * `drivers/vdpa/vdpa_sim/vdpa_sim_net.c` (Linux 6.1).
 */
import { isKernelError } from '@vdpalab/abi';
import type { Atomic } from '@vdpalab/abi';
import type { SchedSymbols } from '@vdpalab/sched';
import {
  ETH_ALEN, VIRTIO_CONFIG_S_DRIVER_OK, VIRTIO_F_VERSION_1, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, VIRTIO_NET_ERR,
  VIRTIO_NET_F_CTRL_VQ, VIRTIO_NET_OK, virtio_net_config, virtio_net_ctrl_hdr, virtio_net_hdr, virtio_net_hdr_v1,
} from '@vdpalab/uapi';
import type { Vdpasim, VdpasimVirtqueue } from '@vdpalab/vdpa-sim';
import type { VringhSymbols } from '@vdpalab/vringh';

/** What serving queues takes. */
export type WorkSymbols =
  & Pick<VringhSymbols,
    'vringh_getdesc_iotlb' | 'vringh_iov_pull_iotlb' | 'vringh_iov_push_iotlb' | 'vringh_complete_iotlb' | 'vringh_need_notify_iotlb'>
  & Pick<SchedSymbols, 'queue_work' | 'system_wq'>;

/** Frames one turn of the work passes on. */
const BUDGET = 5;
const NONE = -1;
const mac = virtio_net_config.offsets.mac;

const has = (features: bigint, bit: number): boolean => (features & (1n << BigInt(bit))) !== 0n;

/** Serve all queues. */
export function serveQueues(k: WorkSymbols, sim: Vdpasim): Atomic {
  const [rxq, txq, cvq] = sim.vqs;
  if (rxq === undefined || txq === undefined || cvq === undefined) throw new Error('vdpasim_net: a device without its three queues');
  if (!sim.running || (sim.status & VIRTIO_CONFIG_S_DRIVER_OK) === 0) return;
  if (has(sim.features, VIRTIO_NET_F_CTRL_VQ) && cvq.ready) serveControl(k, sim, cvq);
  if (!txq.ready || !rxq.ready) return;
  for (let frames = 0; frames < BUDGET;) {
    const sent = next(() => k.vringh_getdesc_iotlb(txq.vring, txq.out_iov, null));
    if (sent === NONE) return;
    const length = frameLength(k, sim, txq);
    if (!passes(sim, length)) {
      complete(k, txq, sent, 0);
      continue;
    }
    const received = next(() => k.vringh_getdesc_iotlb(rxq.vring, null, rxq.in_iov));
    if (received === NONE) {
      complete(k, txq, sent, 0); // dropped
      return;
    }
    const written = next(() => k.vringh_iov_push_iotlb(rxq.vring, rxq.in_iov, sim.buffer.subarray(0, length)));
    if (written <= 0) return;
    complete(k, txq, sent, 0);
    complete(k, rxq, received, written);
    frames++;
  }
  k.queue_work(k.system_wq, sim.work);
}

/** What a ring answers; a refusal, which the ring has logged, is as nothing there. */
function next(body: () => number): number {
  try {
    return body();
  } catch (error) {
    if (!isKernelError(error)) throw error;
    return NONE;
  }
}

/**
 * Bytes of the frame now in the buffer, header included.
 *
 * A frame that cannot be read counts as one of any length, of which the buffer holds what it held before: so does Linux,
 * where a negative length is taken for an unsigned one.
 */
function frameLength(k: WorkSymbols, sim: Vdpasim, txq: VdpasimVirtqueue): number {
  const read = next(() => k.vringh_iov_pull_iotlb(txq.vring, txq.out_iov, sim.buffer));
  return read === NONE ? sim.buffer.length : read;
}

/** Hand a chain back, and call the driver unless it does not want to be. */
function complete(k: WorkSymbols, vq: VdpasimVirtqueue, head: number, length: number): Atomic {
  k.vringh_complete_iotlb(vq.vring, head, length);
  if (k.vringh_need_notify_iotlb(vq.vring)) vq.cb?.callback();
}

/** `receive_filter` */
function passes({ features, buffer, config }: Vdpasim, length: number): boolean {
  const header = has(features, VIRTIO_F_VERSION_1) ? virtio_net_hdr_v1.size : virtio_net_hdr.size;
  if (length < header + ETH_ALEN) return false;
  if (((buffer[header] as number) & 1) !== 0) return true; // multicast, and broadcast with it
  return sameText(buffer.subarray(header, header + ETH_ALEN), config.subarray(mac, mac + ETH_ALEN));
}

/** Linux compares the addresses as text: what comes after a zero byte that both have does not count. */
function sameText(a: Uint8Array, b: Uint8Array): boolean {
  for (let i = 0; i < a.length; i++) {
    if (a[i] !== b[i]) return false;
    if (a[i] === 0) return true;
  }
  return true;
}

/** `vdpasim_handle_cvq`: commands in order; one that is too short to be a command is used up and ends the turn. */
function serveControl(k: WorkSymbols, sim: Vdpasim, cvq: VdpasimVirtqueue): Atomic {
  const command = new Uint8Array(virtio_net_ctrl_hdr.size);
  for (;;) {
    const head = next(() => k.vringh_getdesc_iotlb(cvq.vring, cvq.out_iov, cvq.in_iov));
    if (head === NONE) return;
    if (next(() => k.vringh_iov_pull_iotlb(cvq.vring, cvq.out_iov, command)) !== command.length) return;
    const { class: kind, cmd } = virtio_net_ctrl_hdr.decode(command);
    const status = kind === VIRTIO_NET_CTRL_MAC && cmd === VIRTIO_NET_CTRL_MAC_ADDR_SET && setMac(k, sim, cvq) ? VIRTIO_NET_OK : VIRTIO_NET_ERR;
    const written = next(() => k.vringh_iov_push_iotlb(cvq.vring, cvq.in_iov, Uint8Array.of(status)));
    k.vringh_complete_iotlb(cvq.vring, head, Math.max(written, 0));
    cvq.cb?.callback();
  }
}

/** The new address goes right into the configuration, as far as it is given. @returns whether it was whole */
function setMac(k: WorkSymbols, sim: Vdpasim, cvq: VdpasimVirtqueue): boolean {
  return next(() => k.vringh_iov_pull_iotlb(cvq.vring, cvq.out_iov, sim.config.subarray(mac, mac + ETH_ALEN))) === ETH_ALEN;
}
