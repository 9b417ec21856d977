/** A data queue, and its object in the device. Mirrors the queues of `net/mlx5_vnet.c` (Linux 6.1). */
import { KernelError, UndoStack, withUndo } from '@vdpalab/abi';
import type { Mlx5CoreCq, Mlx5CoreDev } from '@vdpalab/mlx5-core';
import * as uapi from '@vdpalab/uapi';
import type { VdpaCallback } from '@vdpalab/vdpa-core';
import type { VnetKernel } from './kernel.ts';
import type { MemoryRegion } from './mr.ts';

const { mlx5_virtio_net_q: q, mlx5_general_obj_in: objIn, mlx5_general_obj_out: objOut, mlx5_virtio_q_counters: counters } = uapi;
const AT = uapi.MLX5_GENERAL_OBJ_AT;
const { MLX5_VIRTIO_NET_Q_OBJECT_STATE_INIT: INIT, MLX5_VIRTIO_NET_Q_OBJECT_STATE_RDY: RDY, MLX5_VIRTIO_NET_Q_OBJECT_STATE_SUSPEND: SUSPEND } = uapi;

/** What making a queue's object takes. */
export interface QueueMaker {
  readonly k: VnetKernel;
  readonly mdev: Mlx5CoreDev;
  readonly pdn: number;
  readonly tisn: number;
  /** In the firmware's bits. */
  readonly features: number;
  readonly modern: boolean;
  readonly packed: boolean;
  readonly mr: MemoryRegion;
}

/** `struct mlx5_vdpa_virtqueue` */
export class Virtqueue {
  readonly index: number;
  ready = false;
  numEnt = 0;
  descAddr = 0n;
  driverAddr = 0n;
  deviceAddr = 0n;
  availIdx = 0;
  usedIdx = 0;
  callback: VdpaCallback | null = null;
  /** Number of the object. */
  virtqId = 0;
  /** Of the object; `null` without one: MLX5_VIRTIO_NET_Q_OBJECT_NONE. */
  fwState: number | null = null;
  #counterSet = 0;
  #mr: MemoryRegion | null = null;
  #held = new UndoStack();
  readonly #k: VnetKernel;
  readonly #mdev: Mlx5CoreDev;

  constructor(k: VnetKernel, mdev: Mlx5CoreDev, index: number) {
    this.#k = k;
    this.#mdev = mdev;
    this.index = index;
  }

  get initialized(): boolean {
    return this.fwState !== null;
  }

  /** As after a reset, but for the object. */
  forget(): void {
    this.ready = false;
    this.numEnt = 0;
    this.descAddr = 0n;
    this.driverAddr = 0n;
    this.deviceAddr = 0n;
    this.startAt(0);
    this.callback = null;
  }

  /** Go on from these indices when the object is made. */
  startAt(index: number): void {
    this.availIdx = index;
    this.usedIdx = index;
  }

  /** Make the object of a queue that has a size, and set it going when it is ready. What fails leaves none. @see `setup_vq` */
  async setup(maker: QueueMaker): Promise<void> {
    if (this.numEnt === 0 || this.initialized) return;
    await withUndo(this.#held, async () => {
      const cq = await this.#createCq();
      this.#counterSet = await this.#createCounters();
      await this.#create(maker, cq);
      if (this.ready) await this.modify(RDY);
    });
  }

  /** Stop and destroy the object; its indices stay. @see `teardown_vq` */
  async teardown(): Promise<void> {
    if (!this.initialized) return;
    await this.suspend();
    await this.#held.run();
  }

  /** Stop the object and take over its indices. @see `suspend_vq` */
  async suspend(): Promise<void> {
    if (this.fwState !== RDY) return;
    try {
      await this.modify(SUSPEND);
      const { avail, used } = await this.query();
      this.availIdx = avail;
      this.usedIdx = used;
    } catch {
      this.#k.dev_warn(this.#mdev.device, 'modify to suspend failed');
    }
  }

  /** Change the object's state; nothing without one. @throws EINVAL for a change that the device does not make @see `modify_virtqueue` */
  async modify(state: number): Promise<void> {
    if (this.fwState === null) return;
    const allowed = (this.fwState === INIT && state === RDY) || (this.fwState === RDY && state === SUSPEND);
    if (!allowed) throw new KernelError('EINVAL', 'mlx5_vdpa.vq.state', `${this.#mdev.device.name}: queue ${this.index}: from state ${this.fwState} to ${state}`);
    const object = q.make({ modify_field_select: uapi.MLX5_VIRTQ_MODIFY_MASK_STATE, state });
    await this.#exec(uapi.MLX5_CMD_OP_MODIFY_GENERAL_OBJECT, uapi.MLX5_OBJ_TYPE_VIRTIO_NET_Q, this.virtqId, object);
    this.fwState = state;
  }

  /** Where the object is in its rings. @see `query_virtqueue` */
  async query(): Promise<{ readonly avail: number; readonly used: number }> {
    const out = await this.#exec(uapi.MLX5_CMD_OP_QUERY_GENERAL_OBJECT, uapi.MLX5_OBJ_TYPE_VIRTIO_NET_Q, this.virtqId, null, AT + q.size);
    return { avail: q.get(out, 'hw_available_index', AT), used: q.get(out, 'hw_used_index', AT) };
  }

  /** What the object has counted. @throws EAGAIN while it does not run @see `counter_set_query` */
  async counters(): Promise<{ readonly received: bigint; readonly completed: bigint }> {
    if (this.fwState !== RDY) throw new KernelError('EAGAIN', 'mlx5_vdpa.stats.state', `${this.#mdev.device.name}: queue ${this.index} does not run`, { extack: 'mlx5_vdpa: failed to query hardware' });
    const out = await this.#exec(uapi.MLX5_CMD_OP_QUERY_GENERAL_OBJECT, uapi.MLX5_OBJ_TYPE_VIRTIO_Q_COUNTERS, this.#counterSet, null, AT + counters.size);
    return { received: counters.get(out, 'received_desc', AT), completed: counters.get(out, 'completed_desc', AT) };
  }

  async #createCq(): Promise<Mlx5CoreCq> {
    const [k, mdev] = [this.#k, this.#mdev];
    const eqn = k.mlx5_vector2eqn(mdev, 0);
    const cq = await k.mlx5_core_create_cq(mdev, { eqn, comp: () => this.callback?.callback() }, uapi.mlx5_create_cq_in.make({ c_eqn: eqn }));
    this.#held.push('completion queue', () => k.mlx5_core_destroy_cq(mdev, cq));
    return cq;
  }

  async #createCounters(): Promise<number> {
    const type = uapi.MLX5_OBJ_TYPE_VIRTIO_Q_COUNTERS;
    const out = await this.#exec(uapi.MLX5_CMD_OP_CREATE_GENERAL_OBJECT, type, 0, new Uint8Array(counters.size));
    const id = objOut.get(out, 'obj_id');
    this.#held.push('counters', async () => void await this.#exec(uapi.MLX5_CMD_OP_DESTROY_GENERAL_OBJECT, type, id, null));
    return id;
  }

  async #create({ pdn, tisn, features, modern, packed, mr }: QueueMaker, cq: Mlx5CoreCq): Promise<void> {
    const type = uapi.MLX5_OBJ_TYPE_VIRTIO_NET_Q;
    const object = q.make({
      queue_index: this.index, queue_size: this.numEnt, desc_addr: this.descAddr, available_addr: this.driverAddr, used_addr: this.deviceAddr,
      hw_available_index: this.availIdx, hw_used_index: this.usedIdx, virtio_q_mkey: mr.mkey, pd: pdn, tisn_or_qpn: tisn,
      queue_feature_bit_mask_12_3: features >>> 3, queue_feature_bit_mask_2_0: features & 7, virtio_version_1_0: Number(modern),
      virtio_q_type: packed ? uapi.MLX5_VIRTIO_EMULATION_VIRTIO_QUEUE_TYPE_PACKED : uapi.MLX5_VIRTIO_EMULATION_VIRTIO_QUEUE_TYPE_SPLIT,
      event_mode: uapi.MLX5_VIRTIO_Q_EVENT_MODE_QP_MODE, event_qpn_or_msix: cq.cqn,
      counter_set_id: this.#counterSet,
    });
    const out = await this.#exec(uapi.MLX5_CMD_OP_CREATE_GENERAL_OBJECT, type, 0, object);
    this.virtqId = objOut.get(out, 'obj_id');
    this.fwState = INIT;
    mr.refs++;
    this.#mr = mr;
    this.#held.push('queue object', async () => {
      await this.#exec(uapi.MLX5_CMD_OP_DESTROY_GENERAL_OBJECT, type, this.virtqId, null);
      this.fwState = null;
      this.#mr!.refs--; // it was taken above
    });
  }

  /** @param object behind the head, where the command carries one */
  async #exec(opcode: number, type: number, id: number, object: Uint8Array | null, outlen = objOut.size): Promise<Uint8Array> {
    const input = new Uint8Array(AT + (object?.length ?? 0));
    input.set(objIn.make({ opcode, obj_type: type, obj_id: id }));
    if (object !== null) input.set(object, AT);
    return await this.#k.mlx5_cmd_exec(this.#mdev, input, outlen);
  }
}
