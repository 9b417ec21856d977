/** One virtio network device. Mirrors `struct mlx5_vdpa_net` and its life in `net/mlx5_vnet.c` (Linux 6.1). */
import { isKernelError } from '@vdpalab/abi';
import type { Mlx5CoreDev } from '@vdpalab/mlx5-core';
import type { Mutex, Work, Workqueue } from '@vdpalab/sched';
import * as uapi from '@vdpalab/uapi';
import type { VdpaCallback } from '@vdpalab/vdpa-core';
import type { VhostIotlb } from '@vdpalab/vhost-iotlb';
import { ControlQueue } from './control.ts';
import { queueFeatures } from './features.ts';
import type { VnetKernel } from './kernel.ts';
import type { Mac } from './mac.ts';
import { ReceiveSide } from './receive.ts';
import type { Regions } from './regions.ts';
import type { Resources } from './resources.ts';
import { Virtqueue } from './virtqueue.ts';

const { hasBit } = uapi;
const config = uapi.virtio_net_config.offsets;
const LAST = (1n << 64n) - 1n;
/** Groups of queues, and their address spaces. */
export const DATAVQ_GROUP = 0;
export const CVQ_GROUP = 1;
export const NUMVQ_GROUPS = 2;
export const NUM_AS = 2;

/** What a device is made of. */
export interface VnetInit {
  readonly k: VnetKernel;
  readonly mdev: Mlx5CoreDev;
  readonly res: Resources;
  readonly regions: Regions;
  readonly maxVqs: number;
  readonly features: bigint;
  readonly config: Uint8Array;
  readonly mac: Mac;
}

/** The device. Whoever changes its queues holds {@link reslock}. */
export class Vnet {
  readonly k: VnetKernel;
  readonly mdev: Mlx5CoreDev;
  readonly res: Resources;
  readonly regions: Regions;
  readonly maxVqs: number;
  /** Offered. */
  readonly features: bigint;
  /** `struct virtio_net_config` */
  readonly config: Uint8Array;
  readonly vqs: readonly Virtqueue[];
  readonly cvq: ControlQueue;
  readonly receive: ReceiveSide;
  actualFeatures = 0n;
  status = 0;
  generation = 0;
  configCallback: VdpaCallback | null = null;
  /** Data queues in use. */
  curNumVqs = 0;
  /** Address space of each group. */
  readonly group2asid: number[] = Array.from({ length: NUMVQ_GROUPS }, () => 0);
  suspended = false;
  readonly #reslock: Mutex;
  #wq: Workqueue | null;
  readonly #cvqWork: Work;
  readonly #linkWork: Work;
  readonly #mac: Mac;
  #setup = false;
  #listening = false;

  constructor(init: VnetInit) {
    const { k, mdev, res, regions, maxVqs, features } = init;
    this.k = k;
    this.mdev = mdev;
    this.res = res;
    this.regions = regions;
    this.maxVqs = maxVqs;
    this.features = features;
    this.config = init.config;
    this.#mac = init.mac;
    this.#wq = k.alloc_workqueue('mlx5_vdpa_wq');
    this.vqs = Array.from({ length: maxVqs }, (_, i) => new Virtqueue(k, mdev, i));
    this.receive = new ReceiveSide(k, mdev);
    this.cvq = new ControlQueue(k, {
      setMac: (mac) => this.#mac.change(mac, this.receive, this.#vlans),
      setPairs: (pairs) => this.#setPairs(pairs),
      addVlan: (vid) => this.#vlan(() => this.receive.add(this.#mac.address, vid, true)),
      deleteVlan: (vid) => this.#vlan(() => this.receive.delete(this.#mac.address, vid)),
    });
    this.#reslock = k.mutex_init('mlx5_vdpa_reslock');
    this.#cvqWork = k.INIT_WORK('mlx5_cvq_kick_handler', () => this.locked(() => this.#serveControl()));
    this.#linkWork = k.INIT_WORK('update_carrier', () => this.#updateCarrier());
  }

  has(feature: number): boolean {
    return hasBit(this.actualFeatures, feature);
  }

  /** The last index there is. @see `is_index_valid` */
  validIndex(idx: number): boolean {
    if (this.has(uapi.VIRTIO_NET_F_MQ)) return idx <= this.maxVqs;
    return idx < (this.has(uapi.VIRTIO_NET_F_CTRL_VQ) ? 3 : 2);
  }

  /** Behind the first pair, or behind all of them. @see `ctrl_vq_idx` */
  isControl(idx: number): boolean {
    return idx === (this.has(uapi.VIRTIO_NET_F_MQ) ? this.maxVqs : 2) && this.has(uapi.VIRTIO_NET_F_CTRL_VQ);
  }

  async locked<T>(body: () => Promise<T>): Promise<T> {
    await this.k.mutex_lock(this.#reslock);
    try {
      return await body();
    } finally {
      this.k.mutex_unlock(this.#reslock);
    }
  }

  /** The control queue was kicked. */
  kickControl(): undefined {
    if (this.#wq !== null && this.cvq.ready) this.k.queue_work(this.#wq, this.#cvqWork);
  }

  /** DRIVER_OK. What fails leaves no queue. */
  async start(): Promise<void> {
    if (this.has(uapi.VIRTIO_NET_F_CTRL_VQ) && this.cvq.ready) this.cvq.start(this.actualFeatures);
    this.listen(true);
    try {
      await this.setupDriver();
    } catch (error) {
      this.listen(false);
      throw error;
    }
  }

  /** Back to what a fresh device is. @see `mlx5_vdpa_reset` */
  async reset(): Promise<void> {
    this.k.dev_info(this.mdev.device, 'performing device reset');
    this.listen(false);
    await this.teardownDriver();
    for (const vq of this.vqs) vq.forget();
    this.cvq.forget();
    this.regions.use(null);
    this.status = 0;
    this.suspended = false;
    this.curNumVqs = 0;
    this.actualFeatures = 0n;
    this.group2asid.fill(0);
    this.generation++;
    await this.mapAll();
  }

  /** Everything 1:1, where the firmware allows. @see `mlx5_vdpa_create_mr` */
  async mapAll(): Promise<void> {
    this.k.vhost_iotlb_reset(this.cvq.iotlb);
    this.k.vhost_iotlb_add_range(this.cvq.iotlb, 0n, LAST, 0n, uapi.VHOST_ACCESS_RW);
    if (this.res.identity) this.regions.use(await this.regions.makeDma());
  }

  /**
   * The driver's memory is another from now on. Queues stop, go over to a key of it and go on where they were; when
   * that fails they go back to the old one.
   *
   * @throws what the firmware answers
   * @see `mlx5_vdpa_set_map`, `mlx5_vdpa_change_map`
   */
  async setMap(asid: number, iotlb: VhostIotlb): Promise<void> {
    if (this.group2asid[CVQ_GROUP] === asid) this.#copyControlMap(iotlb);
    if (this.group2asid[DATAVQ_GROUP] !== asid) return;
    const fresh = await this.regions.make(iotlb);
    const running = this.#setup;
    await this.teardownDriver();
    const old = this.regions.current;
    this.regions.current = fresh;
    try {
      if (running && !this.suspended && fresh !== null) await this.setupDriver();
    } catch (error) {
      this.regions.current = old;
      if (fresh !== null) this.regions.put(fresh);
      this.k.dev_warn(this.mdev.device, 'failed to go over to another memory map, try to restore');
      await this.setupDriver();
      throw error;
    }
    if (old !== null) this.regions.put(old);
  }

  /** Stop data and control queues; the device stands still. @see `mlx5_vdpa_suspend` */
  async suspend(): Promise<void> {
    this.k.dev_info(this.mdev.device, 'suspending device');
    this.listen(false);
    for (const vq of this.vqs) await vq.suspend();
    this.cvq.ready = false;
    this.suspended = true;
  }

  /** Be told of the port, or no more. */
  listen(on: boolean): void {
    if (on === this.#listening) return;
    this.#listening = on;
    if (on) this.k.mlx5_notifier_register(this.mdev, this.#event);
    else this.k.mlx5_notifier_unregister(this.mdev, this.#event);
  }

  /** No work any more, before the device goes. */
  async stopWork(): Promise<void> {
    this.listen(false);
    const wq = this.#wq;
    this.#wq = null;
    if (wq !== null) await this.k.destroy_workqueue(wq);
  }

  /** Objects of all queues, and the way of frames to them. What fails leaves none. @see `setup_driver` */
  async setupDriver(): Promise<void> {
    const { k, mdev, res, regions: { current } } = this;
    if (this.#setup || current === null) return;
    const maker = {
      k, mdev, pdn: res.pdn, tisn: res.tisn, features: queueFeatures(this.actualFeatures), modern: this.has(uapi.VIRTIO_F_VERSION_1), packed: this.has(uapi.VIRTIO_F_RING_PACKED), mr: current,
    };
    try {
      for (const vq of this.vqs) await vq.setup(maker);
      this.#setup = true;
      const queues = this.#receivers(this.curNumVqs);
      if (queues.length > 0) await this.receive.setup(res.tdn, queues, this.maxVqs / 2, this.#mac.address, this.#vlans);
    } catch (error) {
      this.#setup = true;
      await this.teardownDriver();
      throw error;
    }
  }

  /** No objects of queues any more. @see `teardown_driver` */
  async teardownDriver(): Promise<void> {
    if (!this.#setup) return;
    await this.receive.teardown();
    for (const vq of this.vqs.toReversed()) await vq.teardown();
    this.#setup = false;
  }

  get #vlans(): boolean {
    return this.has(uapi.VIRTIO_NET_F_CTRL_VLAN);
  }

  #receivers(count: number): number[] {
    return this.vqs.slice(0, count).filter((vq) => vq.index % 2 === 0 && vq.initialized).map((vq) => vq.virtqId);
  }

  #copyControlMap(iotlb: VhostIotlb): void {
    const { k, cvq } = this;
    k.vhost_iotlb_reset(cvq.iotlb);
    for (let map = k.vhost_iotlb_itree_first(iotlb, 0n, LAST); map !== null; map = k.vhost_iotlb_itree_next(iotlb, map, 0n, LAST)) {
      k.vhost_iotlb_add_range(cvq.iotlb, map.start, map.last, map.addr, map.perm);
    }
  }

  async #serveControl(): Promise<void> {
    if ((this.status & uapi.VIRTIO_CONFIG_S_DRIVER_OK) === 0 || !this.has(uapi.VIRTIO_NET_F_CTRL_VQ)) return;
    if (await this.cvq.serve()) this.kickControl();
  }

  /** @see `handle_ctrl_mq`, `change_num_qps` */
  async #setPairs(pairs: number): Promise<boolean> {
    const limit = this.maxVqs / 2;
    if (!this.has(uapi.VIRTIO_NET_F_MQ) || pairs < uapi.VIRTIO_NET_CTRL_MQ_VQ_PAIRS_MIN || pairs > limit) return false;
    return await done(async () => {
      await this.receive.setQueues(this.#receivers(2 * pairs), limit);
      this.curNumVqs = 2 * pairs;
    });
  }

  async #vlan(change: () => Promise<void>): Promise<boolean> {
    return this.#vlans && await done(change);
  }

  async #updateCarrier(): Promise<void> {
    await readLink(this.k, this.mdev, this.config);
    this.configCallback?.callback();
  }

  /** A port event, in an interrupt. */
  readonly #event = (event: number): undefined => {
    if (event === uapi.MLX5_EVENT_TYPE_PORT_CHANGE && !this.suspended && this.#wq !== null) this.k.queue_work(this.#wq, this.#linkWork);
  };
}

/** Whether the link is up, into a configuration's status. */
export async function readLink(k: VnetKernel, mdev: Mlx5CoreDev, bytes: Uint8Array): Promise<void> {
  const up = await k.mlx5_query_vport_state(mdev, 0, 0) === uapi.VPORT_STATE_UP;
  bytes[config.status] = up ? bytes[config.status]! | uapi.VIRTIO_NET_S_LINK_UP : bytes[config.status]! & ~uapi.VIRTIO_NET_S_LINK_UP;
}

/** Whether it was done; a refusal is the driver's to hear of, as an error of its command. */
async function done(body: () => Promise<void>): Promise<boolean> {
  try {
    await body();
    return true;
  } catch (error) {
    if (!isKernelError(error)) throw error;
    return false;
  }
}
