/** The way of received frames to queues: a table of queues, a receive resource over it, rules that lead there. Mirrors `net/mlx5_vnet.c` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import type { Mlx5CoreDev, Mlx5FlowHandle, Mlx5FlowTable } from '@vdpalab/mlx5-core';
import {
  MLX5_FLOW_CONTEXT_ACTION_FWD_DEST, MLX5_MATCH_OUTER_HEADERS, MLX5_RQTC_LIST_Q_TYPE_VIRTIO_NET_Q, MLX5_RX_HASH_FN_TOEPLITZ, MLX5_TIRC_DISP_TYPE_INDIRECT,
  mlx5_create_tir_in, mlx5_fte_match_outer, mlx5_rqt_in, setBe32At,
} from '@vdpalab/uapi';
import type { VnetKernel } from './kernel.ts';

/** `MAX_STEERING_ENT`, `MAX_STEERING_GROUPS` */
const MAX_STEERING_ENT = 0x8000;
const MAX_STEERING_GROUPS = 2;
const MATCH_SIZE = 0x200;
const MODIFY_LIST = 1n;
const ALL_VIDS = 0xfff;

/** Number of queues in a table: a power of two. */
const tableSize = (queues: number): number => 2 ** Math.ceil(Math.log2(queues));

function rqtInput(queues: readonly number[], max: number, modify = 0n): Uint8Array {
  const size = tableSize(queues.length);
  const input = mlx5_rqt_in.make({
    modify_bitmask: modify, list_q_type: MLX5_RQTC_LIST_Q_TYPE_VIRTIO_NET_Q, rqt_max_size: tableSize(max), rqt_actual_size: size,
  }, 4 * size);
  for (let i = 0; i < size; i++) setBe32At(input, mlx5_rqt_in.size + 4 * i, queues[i % queues.length]!);
  return input;
}

/** A rule's key: an address, and the VLAN of tagged frames. */
const keyOf = (mac: Uint8Array, vid: number | null): string => `${mac.join(':')} ${vid ?? 'untagged'}`;

/** Everything between the wire and receive queues. */
export class ReceiveSide {
  #rqtn: number | null = null;
  #tirn: number | null = null;
  #table: Mlx5FlowTable | null = null;
  /** A rule for frames to the address, and one for those to many. */
  readonly #rules = new Map<string, readonly Mlx5FlowHandle[]>();
  readonly #k: VnetKernel;
  readonly #mdev: Mlx5CoreDev;

  constructor(k: VnetKernel, mdev: Mlx5CoreDev) {
    this.#k = k;
    this.#mdev = mdev;
  }

  /** Rules there are, as `address vid` or `address untagged`. */
  get rules(): readonly string[] {
    return [...this.#rules.keys()];
  }

  /**
   * Lead frames to queues. What fails leaves nothing.
   *
   * @param queues receive queues, by their objects
   * @param max queues there may be
   */
  async setup(tdn: number, queues: readonly number[], max: number, mac: Uint8Array, vlans: boolean): Promise<void> {
    const [k, mdev] = [this.#k, this.#mdev];
    try {
      this.#rqtn = await k.mlx5_core_create_rqt(mdev, rqtInput(queues, max));
      this.#tirn = await k.mlx5_core_create_tir(mdev, mlx5_create_tir_in.make({
        disp_type: MLX5_TIRC_DISP_TYPE_INDIRECT, indirect_table: this.#rqtn, rx_hash_fn: MLX5_RX_HASH_FN_TOEPLITZ, transport_domain: tdn,
      }));
      const ns = k.mlx5_get_flow_namespace(mdev, 'MLX5_FLOW_NAMESPACE_BYPASS');
      if (ns === null) {
        k.dev_err(mdev.device, 'failed to get flow namespace');
        throw new KernelError('EOPNOTSUPP', 'mlx5_vdpa.steering.namespace', `${mdev.device.name}: no flow tables`);
      }
      this.#table = await k.mlx5_create_auto_grouped_flow_table(ns, { prio: 0, max_fte: MAX_STEERING_ENT, autogroup: { max_num_groups: MAX_STEERING_GROUPS } });
      await this.add(mac, null, vlans);
    } catch (error) {
      await this.teardown();
      throw error;
    }
  }

  /** Take other queues from now on. */
  async setQueues(queues: readonly number[], max: number): Promise<void> {
    if (this.#rqtn !== null) await this.#k.mlx5_core_modify_rqt(this.#mdev, this.#rqtn, rqtInput(queues, max, MODIFY_LIST));
  }

  /**
   * Take frames to an address, and to many: untagged ones, or those of a VLAN.
   *
   * @param vlans whether tags count at all
   * @throws EEXIST; what the firmware answers, and no rule is left then
   * @see `mac_vlan_add`
   */
  async add(mac: Uint8Array, vid: number | null, vlans: boolean): Promise<void> {
    const [k, table, tirn] = [this.#k, this.#table, this.#tirn];
    const key = keyOf(mac, vid);
    if (this.#rules.has(key)) throw new KernelError('EEXIST', 'mlx5_vdpa.steering.taken', `${this.#mdev.device.name}: there are rules for ${key}`);
    if (table === null || tirn === null) return; // set up later, with the address of then
    const tags = { cvlan_tag: vlans ? 1 : 0, first_vid: vid === null ? 0 : ALL_VIDS };
    const values = vid === null ? {} : { cvlan_tag: 1, first_vid: vid };
    const rule = async (criteria: readonly number[], address: Uint8Array): Promise<Mlx5FlowHandle> =>
      await k.mlx5_add_flow_rules(table, {
        match_criteria_enable: MLX5_MATCH_OUTER_HEADERS, match_criteria: matchOf(Uint8Array.from(criteria), tags), match_value: matchOf(address, values),
      }, { action: MLX5_FLOW_CONTEXT_ACTION_FWD_DEST }, [{ type: 'tir', tir_num: tirn }]);
    const unicast = await rule([0xff, 0xff, 0xff, 0xff, 0xff, 0xff], mac);
    try {
      const many = await rule([1, 0, 0, 0, 0, 0], Uint8Array.of(1, 0, 0, 0, 0, 0));
      this.#rules.set(key, [unicast, many]);
    } catch (error) {
      await k.mlx5_del_flow_rules(unicast);
      throw error;
    }
  }

  /** @see `mac_vlan_del` */
  async delete(mac: Uint8Array, vid: number | null): Promise<void> {
    await this.#drop(keyOf(mac, vid));
  }

  /** Give all back; nothing when there is none. */
  async teardown(): Promise<void> {
    const [k, mdev] = [this.#k, this.#mdev];
    for (const key of this.rules) await this.#drop(key);
    if (this.#table !== null) await k.mlx5_destroy_flow_table(this.#table);
    this.#table = null;
    if (this.#tirn !== null) await k.mlx5_core_destroy_tir(mdev, this.#tirn);
    this.#tirn = null;
    if (this.#rqtn !== null) await k.mlx5_core_destroy_rqt(mdev, this.#rqtn);
    this.#rqtn = null;
  }

  async #drop(key: string): Promise<void> {
    const rules = this.#rules.get(key) ?? [];
    this.#rules.delete(key);
    for (const rule of rules) await this.#k.mlx5_del_flow_rules(rule);
  }
}

/** Match parameters: a destination address, and tags. */
function matchOf(mac: Uint8Array, tags: Parameters<typeof mlx5_fte_match_outer.make>[0]): Uint8Array {
  const bytes = new Uint8Array(MATCH_SIZE);
  bytes.set(mlx5_fte_match_outer.make(tags));
  bytes.set(mac, mlx5_fte_match_outer.offsetof('dmac_47_16'));
  return bytes;
}
