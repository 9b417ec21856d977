/**
 * Any vDPA device of the lab behind a socket, through its /dev/vhost-vdpa-N.
 *
 * DPDK has no such driver: there, one for each vendor's hardware does this. Here the kernel's parents do, whatever they are.
 */
import { KernelError } from '@vdpalab/abi';
import type { UserProcess } from '@vdpalab/lab';
import {
  CAP_SYS_RESOURCE, RLIMIT_MEMLOCK, VHOST_ACCESS_RW, VHOST_BACKEND_F_IOTLB_BATCH, VHOST_BACKEND_F_IOTLB_MSG_V2, VHOST_BACKEND_F_SUSPEND, VHOST_FILE_UNBIND,
  VIRTIO_CONFIG_S_ACKNOWLEDGE, VIRTIO_CONFIG_S_DRIVER, VIRTIO_CONFIG_S_DRIVER_OK, VIRTIO_CONFIG_S_FEATURES_OK, VIRTIO_F_ACCESS_PLATFORM,
  VIRTIO_F_VERSION_1, VIRTIO_ID_NET, VIRTIO_NET_F_CTRL_VQ, VIRTIO_NET_F_MQ,
} from '@vdpalab/uapi';
import { VhostVdpaFile } from '@vdpalab/user';
import { bits, has, VHOST_USER_F_PROTOCOL_FEATURES } from '../protocol/features.ts';
import * as pf from '../protocol/features.ts';
import type { RteVdpaDevOps } from '../rte_vdpa/ops.ts';
import type { RteVhost } from '../vhost/library.ts';

const USED_IDX = 2;
const DRIVER = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER;

/** Features the front-end has no say in: the container maps its addresses, and control queues are its own affair. */
const HIDDEN = bits(VIRTIO_F_ACCESS_PLATFORM, VIRTIO_NET_F_MQ, VIRTIO_NET_F_CTRL_VQ);

/** Path of a vDPA device's character device. @throws ENODEV when vhost_vdpa has not got it */
export async function vhostVdpaPath(p: UserProcess, name: string): Promise<string> {
  const entries = await p.readdir(`/sys/bus/vdpa/devices/${name}`).catch(() => []);
  const found = entries.find((e) => /^vhost-vdpa-\d+$/.test(e.name));
  if (found === undefined) throw new KernelError('ENODEV', 'vhost_user.vdpa.node', `${name}: not a vDPA device that vhost_vdpa drives`);
  return `/dev/${found.name}`;
}

/** A driver of one device. Close it when it is registered no more. */
export class VhostVdpaDriver {
  readonly name: string;
  readonly ops: RteVdpaDevOps;
  readonly #vhost: RteVhost;
  readonly #file: VhostVdpaFile;
  readonly #features: bigint;
  readonly #backend: bigint;
  /** What is mapped now. */
  #mapped: { readonly iova: bigint; readonly size: bigint }[] = [];
  #rings: number[] = [];
  /** Whom it serves; -1 for nobody. */
  #vid = -1;

  private constructor(vhost: RteVhost, name: string, file: VhostVdpaFile, features: bigint, backend: bigint, type: 'net' | 'blk') {
    this.name = name;
    this.#vhost = vhost;
    this.#file = file;
    this.#features = features;
    this.#backend = backend;
    this.ops = {
      get_dev_type: () => type,
      get_queue_num: () => 1,
      get_features: () => (features & ~HIDDEN) | bits(VHOST_USER_F_PROTOCOL_FEATURES),
      get_protocol_features: () => bits(
        pf.VHOST_USER_PROTOCOL_F_MQ, pf.VHOST_USER_PROTOCOL_F_REPLY_ACK, pf.VHOST_USER_PROTOCOL_F_STATUS, pf.VHOST_USER_PROTOCOL_F_NET_MTU,
        pf.VHOST_USER_PROTOCOL_F_RESET_DEVICE, pf.VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS, ...(type === 'blk' ? [pf.VHOST_USER_PROTOCOL_F_CONFIG] : []),
      ),
      dev_conf: (vid) => this.#configure(vid),
      dev_close: (vid) => this.#close(vid),
      set_vring_state: async (_vid, vring, state) => this.#file.setVringEnable(vring, state),
      set_features: async () => undefined,
      get_stats_names: () => ['kicks', 'interrupts'],
      get_stats: (qid) => vhost.counts(this.#vid, qid),
      reset_stats: async (qid) => vhost.resetCounts(this.#vid, qid),
      ...(type === 'blk' ? { get_config: async (_vid: number, offset: number, length: number) => this.#file.config(offset, length) } : {}),
    };
  }

  /**
   * Open a device.
   *
   * @throws ENODEV when vhost_vdpa has not got it; EBUSY when somebody else has it open
   */
  static async probe(vhost: RteVhost, name: string): Promise<VhostVdpaDriver> {
    const { p } = vhost;
    const file = await VhostVdpaFile.open(p, await vhostVdpaPath(p, name));
    try {
      if (p.proc.cred.caps.has(CAP_SYS_RESOURCE)) p.proc.rlimits.set(RLIMIT_MEMLOCK, Infinity); // a guest's memory is pinned
      await file.setOwner();
      const backend = (await file.backendFeatures()) & bits(VHOST_BACKEND_F_IOTLB_MSG_V2, VHOST_BACKEND_F_IOTLB_BATCH, VHOST_BACKEND_F_SUSPEND);
      await file.setBackendFeatures(backend);
      const type = (await file.deviceId()) === VIRTIO_ID_NET ? 'net' : 'blk';
      return new VhostVdpaDriver(vhost, name, file, await file.features(), backend, type);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  close(): Promise<void> {
    return this.#file.close();
  }

  async #configure(vid: number): Promise<void> {
    try {
      await this.#start(vid);
    } catch (error) {
      await this.#undo();
      throw error;
    }
  }

  async #start(vid: number): Promise<void> {
    const file = this.#file;
    await file.setStatus(0);
    await file.setStatus(VIRTIO_CONFIG_S_ACKNOWLEDGE);
    await file.setStatus(DRIVER);
    const acked = this.#vhost.rte_vhost_get_negotiated_features(vid) & this.#features;
    // A device that asks for translated addresses gets them: its container translates.
    await file.setFeatures(acked | (this.#features & bits(VIRTIO_F_ACCESS_PLATFORM)) | (this.#features & bits(VIRTIO_F_VERSION_1)));
    await file.setStatus(DRIVER | VIRTIO_CONFIG_S_FEATURES_OK);
    if (((await file.status()) & VIRTIO_CONFIG_S_FEATURES_OK) === 0) {
      throw new KernelError('EOPNOTSUPP', 'vhost_user.vdpa.features', `${this.name} refuses features 0x${acked.toString(16)}`);
    }
    this.#vid = vid;
    await this.#map(vid);
    for (let index = 0; index < this.#vhost.rte_vhost_get_vring_num(vid); index++) await this.#ring(vid, index);
    await file.setStatus(DRIVER | VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK);
  }

  /** Guest addresses are the device's. */
  async #map(vid: number): Promise<void> {
    const batch = has(this.#backend, VHOST_BACKEND_F_IOTLB_BATCH);
    if (batch) await this.#file.batchBegin();
    for (const region of this.#vhost.rte_vhost_get_mem_table(vid)) {
      const range = { iova: BigInt(region.guest_phys_addr), size: BigInt(region.size) };
      await this.#file.map(range.iova, range.size, BigInt(region.host_user_addr), VHOST_ACCESS_RW);
      this.#mapped.push(range);
    }
    if (batch) await this.#file.batchEnd();
  }

  async #ring(vid: number, index: number): Promise<void> {
    const vring = this.#vhost.rte_vhost_get_vhost_vring(vid, index);
    if (vring === null) return;
    const { place } = vring;
    await this.#file.setVringNum(index, vring.size);
    await this.#file.setVringBase(index, this.#vhost.rte_vhost_get_vring_base(vid, index).last_avail_idx);
    await this.#file.setVringAddr(index, BigInt(place.desc), BigInt(place.avail), BigInt(place.used));
    await this.#file.setVringKick(index, vring.kickfd);
    await this.#file.setVringCall(index, vring.callfd);
    await this.#file.setVringEnable(index, vring.enabled);
    this.#rings.push(index);
  }

  async #close(vid: number): Promise<void> {
    const suspends = has(this.#backend, VHOST_BACKEND_F_SUSPEND);
    if (suspends) await this.#file.suspend();
    const bases = suspends ? await this.#bases() : null;
    await this.#file.setStatus(0);
    // A device that stopped by reset has used all it took, or will not: it goes on from the used ring.
    for (const index of this.#rings) {
      const base = bases?.get(index) ?? this.#usedIndex(vid, index);
      if (base !== null) this.#vhost.rte_vhost_set_vring_base(vid, index, base, base);
    }
    await this.#undo();
  }

  async #bases(): Promise<ReadonlyMap<number, number>> {
    const bases = new Map<number, number>();
    for (const index of this.#rings) bases.set(index, await this.#file.vringBase(index));
    return bases;
  }

  #usedIndex(vid: number, index: number): number | null {
    const place = this.#vhost.rte_vhost_get_vhost_vring(vid, index)?.place;
    const va = place === undefined ? null : this.#vhost.hostVa(vid, place.used, USED_IDX + 2);
    return va === null || this.#vhost.memoryCut(vid) ? null : this.#vhost.p.proc.mm.load(va + USED_IDX, 2);
  }

  async #undo(): Promise<void> {
    this.#vid = -1;
    await this.#file.setStatus(0);
    for (const index of this.#rings.splice(0)) {
      await this.#file.setVringKick(index, VHOST_FILE_UNBIND);
      await this.#file.setVringCall(index, VHOST_FILE_UNBIND);
    }
    for (const { iova, size } of this.#mapped.splice(0)) await this.#file.unmap(iova, size);
  }
}
