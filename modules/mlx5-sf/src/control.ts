/** The control queue, which software serves. Mirrors `mlx5_cvq_kick_handler` in `net/mlx5_vnet.c` (Linux 6.1). */
import { isKernelError } from '@vdpalab/abi';
import {
  ETH_ALEN, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, VIRTIO_NET_CTRL_VLAN,
  VIRTIO_NET_CTRL_VLAN_ADD, VIRTIO_NET_CTRL_VLAN_DEL, VIRTIO_NET_ERR, VIRTIO_NET_OK, virtio_net_ctrl_hdr,
} from '@vdpalab/uapi';
import type { VdpaCallback } from '@vdpalab/vdpa-core';
import type { VhostIotlb } from '@vdpalab/vhost-iotlb';
import type { Vringh, VringhKiov } from '@vdpalab/vringh';
import type { VnetKernel } from './kernel.ts';

const EMPTY = -1;
const WORD = 2;

/** What commands do; each says whether it was done. */
export interface ControlTarget {
  readonly setMac: (mac: Uint8Array) => Promise<boolean>;
  readonly setPairs: (pairs: number) => Promise<boolean>;
  readonly addVlan: (vid: number) => Promise<boolean>;
  readonly deleteVlan: (vid: number) => Promise<boolean>;
}

/** `struct mlx5_control_vq` */
export class ControlQueue {
  ready = false;
  numEnt = 0;
  descAddr = 0n;
  driverAddr = 0n;
  deviceAddr = 0n;
  callback: VdpaCallback | null = null;
  receivedDesc = 0n;
  completedDesc = 0n;
  /** Where its addresses lead. */
  readonly iotlb: VhostIotlb;
  #lastAvail = 0;
  #vring: Vringh | null = null;
  readonly #riov: VringhKiov = { segments: [], consumed: 0 };
  readonly #wiov: VringhKiov = { segments: [], consumed: 0 };
  readonly #k: VnetKernel;
  readonly #target: ControlTarget;

  constructor(k: VnetKernel, target: ControlTarget) {
    this.#k = k;
    this.#target = target;
    this.iotlb = k.vhost_iotlb_alloc(0, 0);
  }

  /** Where it goes on in its ring. */
  get lastAvail(): number {
    return this.#vring?.last_avail_idx ?? this.#lastAvail;
  }

  set lastAvail(index: number) {
    this.#lastAvail = index;
    if (this.#vring !== null) this.#vring.last_avail_idx = index;
  }

  /** Take the ring up, as the driver has laid it out. @throws EINVAL for its size @see `setup_cvq_vring` */
  start(features: bigint): void {
    const vring = this.#k.vringh_init_iotlb(features, this.numEnt, false, this.descAddr, this.driverAddr, this.deviceAddr);
    this.#k.vringh_set_iotlb(vring, this.iotlb);
    vring.last_avail_idx = this.#lastAvail;
    vring.last_used_idx = this.#lastAvail;
    this.#vring = vring;
  }

  /** As after a reset; the table stays. */
  forget(): void {
    this.ready = false;
    this.numEnt = 0;
    this.callback = null;
    this.receivedDesc = 0n;
    this.completedDesc = 0n;
    this.#lastAvail = 0;
    this.#vring = null;
  }

  /** Carry the next command out. @returns whether there was one, so that there may be more */
  async serve(): Promise<boolean> {
    const [k, vring] = [this.#k, this.#vring];
    if (!this.ready || vring === null) return false;
    const head = ring(() => k.vringh_getdesc_iotlb(vring, this.#riov, this.#wiov), EMPTY);
    if (head === EMPTY) return false;
    const hdr = this.#pull(vring, virtio_net_ctrl_hdr.size);
    if (hdr === null) return false;
    this.receivedDesc++;
    const { class: kind, cmd } = virtio_net_ctrl_hdr.decode(hdr);
    const status = await this.#execute(vring, kind, cmd) ? VIRTIO_NET_OK : VIRTIO_NET_ERR;
    const written = ring(() => k.vringh_iov_push_iotlb(vring, this.#wiov, Uint8Array.of(status)), 0);
    k.vringh_complete_iotlb(vring, head, written);
    if (k.vringh_need_notify_iotlb(vring)) this.callback?.callback();
    this.completedDesc++;
    return true;
  }

  async #execute(vring: Vringh, kind: number, cmd: number): Promise<boolean> {
    if (kind === VIRTIO_NET_CTRL_MAC && cmd === VIRTIO_NET_CTRL_MAC_ADDR_SET) {
      const mac = this.#pull(vring, ETH_ALEN);
      return mac !== null && await this.#target.setMac(mac);
    }
    const known = (kind === VIRTIO_NET_CTRL_MQ && cmd === VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET)
      || (kind === VIRTIO_NET_CTRL_VLAN && (cmd === VIRTIO_NET_CTRL_VLAN_ADD || cmd === VIRTIO_NET_CTRL_VLAN_DEL));
    const word = known ? this.#pull(vring, WORD) : null;
    if (word === null) return false;
    const value = word[0]! | (word[1]! << 8);
    if (kind === VIRTIO_NET_CTRL_MQ) return await this.#target.setPairs(value);
    return cmd === VIRTIO_NET_CTRL_VLAN_ADD ? await this.#target.addVlan(value) : await this.#target.deleteVlan(value);
  }

  /** Readable bytes. @returns `null` when there are fewer */
  #pull(vring: Vringh, length: number): Uint8Array | null {
    const bytes = new Uint8Array(length);
    return ring(() => this.#k.vringh_iov_pull_iotlb(vring, this.#riov, bytes), 0) === length ? bytes : null;
  }
}

/** What a ring answers; a refusal, which the ring has logged, is as `nothing`. */
function ring(body: () => number, nothing: number): number {
  try {
    return body();
  } catch (error) {
    if (!isKernelError(error)) throw error;
    return nothing;
  }
}
