/**
 * Any vDPA device of the lab behind a socket, through its /dev/vhost-vdpa-N.
 *
 * DPDK has no such driver: there, one for each vendor's hardware does this. Here the kernel's parents do, whatever they are.
 * Linux 6.1's vhost-vdpa logs no written pages, so a front-end cannot migrate its guest.
 */
import { KernelError, UndoStack, withUndo } from '@vdpalab/abi';
import type { UserProcess } from '@vdpalab/lab';
import {
  CAP_SYS_RESOURCE, RLIMIT_MEMLOCK, VHOST_ACCESS_RW, VHOST_BACKEND_F_IOTLB_BATCH, VHOST_BACKEND_F_IOTLB_MSG_V2, VHOST_BACKEND_F_SUSPEND, VHOST_FILE_UNBIND,
  VIRTIO_CONFIG_S_ACKNOWLEDGE, VIRTIO_CONFIG_S_DRIVER, VIRTIO_CONFIG_S_DRIVER_OK, VIRTIO_CONFIG_S_FEATURES_OK, VIRTIO_F_ACCESS_PLATFORM, VIRTIO_F_RING_PACKED,
  VIRTIO_ID_NET, virtio_net_config, VIRTIO_NET_F_CTRL_VQ, VIRTIO_NET_F_MQ, vring_used,
} from '@vdpalab/uapi';
import { VhostVdpaFile } from '@vdpalab/user';
import * as pf from '../protocol/features.ts';
import { refuse } from '../refuse.ts';
import type { RteVdpaDevOps } from '../rte_vdpa/ops.ts';
import type { RteVhost } from '../vhost/library.ts';
import { ControlQueue } from './control-queue.ts';

const DRIVER = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER;
const MAX_PAIRS = virtio_net_config.offsets.max_virtqueue_pairs;

/** What front-ends are not offered: their rings are looked into as split ones. */
const HIDDEN = pf.bits(VIRTIO_F_RING_PACKED);

/** What the device is told although front-ends have no say in it: its container translates, and its control queue is driven here. */
const OURS = pf.bits(VIRTIO_F_ACCESS_PLATFORM, VIRTIO_NET_F_CTRL_VQ);

/** Path of a vDPA device's character device. @throws ENODEV when vhost_vdpa has not got it */
export async function vhostVdpaPath(p: UserProcess, name: string): Promise<string> {
  const entries = await p.readdir(`/sys/bus/vdpa/devices/${name}`).catch(() => []);
  const found = entries.find((e) => /^vhost-vdpa-\d+$/.test(e.name));
  if (found === undefined) throw new KernelError('ENODEV', 'vhost_user.vdpa.node', `${name}: not a vDPA device that vhost_vdpa drives`);
  return `/dev/${found.name}`;
}

/** What a device is. */
interface Shape {
  readonly type: 'net' | 'blk';
  readonly features: bigint;
  readonly backend: bigint;
  /** Queue pairs of a network device; 1 for a disk. */
  readonly pairs: number;
}

/** What there is between dev_conf and dev_close. */
interface Running {
  readonly vid: number;
  readonly undo: UndoStack;
  /** Rings that are set up. */
  readonly rings: readonly number[];
  readonly control: ControlQueue | null;
  /** Pairs that the device uses. */
  pairs: number;
}

/** A driver of one device. Close it when it is registered no more. */
export class VhostVdpaDriver {
  readonly name: string;
  readonly ops: RteVdpaDevOps;
  readonly #vhost: RteVhost;
  readonly #file: VhostVdpaFile;
  readonly #shape: Shape;
  #running: Running | null = null;

  private constructor(vhost: RteVhost, name: string, file: VhostVdpaFile, shape: Shape) {
    this.name = name;
    this.#vhost = vhost;
    this.#file = file;
    this.#shape = shape;
    const { type, features, pairs } = shape;
    const hidden = OURS | HIDDEN | (pairs > 1 ? 0n : pf.bits(VIRTIO_NET_F_MQ));
    const counting = (): number => this.#running?.vid ?? -1;
    this.ops = {
      get_dev_type: () => type,
      get_queue_num: () => pairs,
      get_features: () => (features & ~hidden) | pf.bits(pf.VHOST_USER_F_PROTOCOL_FEATURES),
      get_protocol_features: () => pf.bits(
        pf.VHOST_USER_PROTOCOL_F_MQ, pf.VHOST_USER_PROTOCOL_F_REPLY_ACK, pf.VHOST_USER_PROTOCOL_F_STATUS, pf.VHOST_USER_PROTOCOL_F_NET_MTU,
        pf.VHOST_USER_PROTOCOL_F_RESET_DEVICE, pf.VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS, ...(type === 'blk' ? [pf.VHOST_USER_PROTOCOL_F_CONFIG] : []),
      ),
      dev_conf: (vid) => this.#configure(vid),
      dev_close: () => this.#close(),
      set_vring_state: (_vid, index, on) => this.#setRing(index, on),
      set_features: async () => undefined,
      get_stats_names: () => ['kicks', 'interrupts'],
      get_stats: (qid) => vhost.counts(counting(), qid),
      reset_stats: async (qid) => vhost.resetCounts(counting(), qid),
      ...(type === 'blk' ? { get_config: async (_vid: number, offset: number, length: number) => file.config(offset, length) } : {}),
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
      const backend = (await file.backendFeatures()) & pf.bits(VHOST_BACKEND_F_IOTLB_MSG_V2, VHOST_BACKEND_F_IOTLB_BATCH, VHOST_BACKEND_F_SUSPEND);
      await file.setBackendFeatures(backend);
      const type = (await file.deviceId()) === VIRTIO_ID_NET ? 'net' : 'blk';
      const features = await file.features();
      const many = type === 'net' && pf.has(features, VIRTIO_NET_F_MQ) && pf.has(features, VIRTIO_NET_F_CTRL_VQ);
      const [low = 0, high = 0] = many ? await file.config(MAX_PAIRS, 2) : [1];
      return new VhostVdpaDriver(vhost, name, file, { type, features, backend, pairs: low | (high << 8) });
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  close(): Promise<void> {
    return this.#file.close();
  }

  async #configure(vid: number): Promise<void> {
    const undo = new UndoStack();
    this.#running = await withUndo(undo, () => this.#start(vid, undo));
    try {
      await this.#usePairs(this.#running);
    } catch (error) {
      await this.#close();
      throw error;
    }
  }

  async #start(vid: number, undo: UndoStack): Promise<Running> {
    const file = this.#file;
    const { features } = this.#shape;
    await this.#map(vid, undo);
    undo.push('status', () => file.setStatus(0));
    for (const status of [0, VIRTIO_CONFIG_S_ACKNOWLEDGE, DRIVER]) await file.setStatus(status);
    const acked = this.#vhost.rte_vhost_get_negotiated_features(vid) & features;
    const control = pf.has(acked, VIRTIO_NET_F_MQ);
    await file.setFeatures(acked | (features & OURS & ~(control ? 0n : pf.bits(VIRTIO_NET_F_CTRL_VQ))));
    await file.setStatus(DRIVER | VIRTIO_CONFIG_S_FEATURES_OK);
    if (((await file.status()) & VIRTIO_CONFIG_S_FEATURES_OK) === 0) throw refuse('vdpa.features', `${this.name} refuses features 0x${acked.toString(16)}`, 'EOPNOTSUPP');
    const rings: number[] = [];
    for (let index = 0; index < this.#vhost.rte_vhost_get_vring_num(vid); index++) if (await this.#ring(vid, index, undo)) rings.push(index);
    const running: Running = {
      vid, undo, rings, pairs: 1,
      control: control ? await ControlQueue.setUp(this.#vhost.p, file, 2 * this.#shape.pairs, undo) : null,
    };
    await file.setStatus(DRIVER | VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK);
    return running;
  }

  /** Guest addresses are the device's. */
  async #map(vid: number, undo: UndoStack): Promise<void> {
    const batch = pf.has(this.#shape.backend, VHOST_BACKEND_F_IOTLB_BATCH);
    if (batch) await this.#file.batchBegin();
    for (const region of this.#vhost.rte_vhost_get_mem_table(vid)) {
      const range = { iova: BigInt(region.guest_phys_addr), size: BigInt(region.size) };
      await this.#file.map(range.iova, range.size, BigInt(region.host_user_addr), VHOST_ACCESS_RW);
      undo.push('guest memory', async () => void await this.#file.unmap(range.iova, range.size));
    }
    if (batch) await this.#file.batchEnd();
  }

  /** @returns false for a ring that is not set up */
  async #ring(vid: number, index: number, undo: UndoStack): Promise<boolean> {
    const file = this.#file;
    const vring = this.#vhost.rte_vhost_get_vhost_vring(vid, index);
    if (vring === null) return false;
    const { place } = vring;
    await file.setVringNum(index, vring.size);
    await file.setVringBase(index, this.#vhost.rte_vhost_get_vring_base(vid, index).last_avail_idx);
    await file.setVringAddr(index, BigInt(place.desc), BigInt(place.avail), BigInt(place.used));
    undo.push('eventfds', async () => {
      await file.setVringKick(index, VHOST_FILE_UNBIND);
      await file.setVringCall(index, VHOST_FILE_UNBIND);
    });
    await file.setVringKick(index, vring.kickfd);
    await file.setVringCall(index, vring.callfd);
    await file.setVringEnable(index, vring.enabled);
    return true;
  }

  async #setRing(index: number, on: boolean): Promise<void> {
    await this.#file.setVringEnable(index, on);
    if (this.#running !== null) await this.#usePairs(this.#running);
  }

  /** Have the device use as many pairs as are enabled: it spreads what it receives over them. */
  async #usePairs(running: Running): Promise<void> {
    const { vid, rings, control } = running;
    const receiving = rings.filter((index) => index % 2 === 0 && this.#vhost.rte_vhost_get_vhost_vring(vid, index)?.enabled === true);
    const pairs = Math.max(1, receiving.length);
    if (control === null || pairs === running.pairs) return;
    await control.setPairs(pairs);
    running.pairs = pairs;
  }

  async #close(): Promise<void> {
    const running = this.#running;
    if (running === null) return;
    this.#running = null;
    const suspends = pf.has(this.#shape.backend, VHOST_BACKEND_F_SUSPEND);
    if (suspends) await this.#file.suspend();
    const bases = new Map<number, number>();
    if (suspends) for (const index of running.rings) bases.set(index, await this.#file.vringBase(index));
    await this.#file.setStatus(0);
    // A device that stopped by reset has used all it took, or will not: it goes on from the used ring.
    for (const index of running.rings) {
      const base = bases.get(index) ?? this.#usedIndex(running.vid, index);
      if (base !== null) this.#vhost.rte_vhost_set_vring_base(running.vid, index, base, base);
    }
    await running.undo.run();
  }

  #usedIndex(vid: number, index: number): number | null {
    const place = this.#vhost.rte_vhost_get_vhost_vring(vid, index)?.place;
    const va = place === undefined ? null : this.#vhost.hostVa(vid, place.used, vring_used.size);
    return va === null || this.#vhost.memoryCut(vid) ? null : this.#vhost.p.proc.mm.load(va + vring_used.offsets.idx, 2);
  }
}
