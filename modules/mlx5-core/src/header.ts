/**
 * ConnectX functions and their subfunctions, for the drivers of what they offer.
 *
 * Mirrors `include/linux/mlx5/{driver,device,cq,fs,mpfs,vport}.h` (Linux 6.1). Layouts and numbers are in `@vdpalab/uapi`;
 * a command's input and output are bytes, and a refusal by the firmware is a KernelError with the errno of
 * `mlx5_cmd_check`.
 */
import type { Atomic } from '@vdpalab/abi';
import type { Device } from '@vdpalab/driver-core';
import type { DmaCoherent } from '@vdpalab/iommu';
import type { IoMem, PciDev } from '@vdpalab/pci';
export type {} from '@vdpalab/auxiliary'; // its symbols
export type {} from '@vdpalab/devlink'; // its symbols
export type {} from '@vdpalab/irq'; // its symbols
export type {} from '@vdpalab/sched'; // its symbols

/** `enum mlx5_coredev_type` */
export type Mlx5CoreDevType = 'MLX5_COREDEV_PF' | 'MLX5_COREDEV_VF' | 'MLX5_COREDEV_SF';

/** `struct mlx5_core_dev`: one function of the device. */
export interface Mlx5CoreDev {
  /** The PCI function, or the subfunction's auxiliary device. */
  readonly device: Device;
  /** The PCI function that does its DMA: `mlx5_core_dma_dev`. */
  readonly pdev: PciDev;
  readonly coredev_type: Mlx5CoreDevType;
  /** Where its registers begin: a BAR of `pdev`, and bytes in it. */
  readonly bar: number;
  readonly bar_offset: number;
  /** Physical address of that. */
  readonly bar_addr: number;
  /** Capabilities of one type as they are, as `MLX5_CAP_*` read them. @param cap_type MLX5_CAP_* */
  readonly hca_cap: (cap_type: number) => Uint8Array;
  /** `MLX5_CAP_GEN(dev, vhca_id)` and its kin are read off these bytes; this one is asked for often. */
  readonly vhca_id: number;
}

/** `struct mlx5_adev`: what the container of an auxiliary device `mlx5_core.KIND.N` is. */
export interface Mlx5Adev {
  readonly mdev: Mlx5CoreDev;
  readonly idx: number;
}

/** `struct mlx5_nb`: told of events of the device; atomic. @param event MLX5_EVENT_TYPE_*; @param eqe the 64 bytes of the event */
export type Mlx5Nb = (event: number, eqe: Uint8Array) => Atomic;

/** `struct mlx5_uars_page`: a page of doorbells. */
export interface Mlx5UarsPage {
  readonly index: number;
  /** The page's registers; big endian, while MMIO is not. */
  readonly map: IoMem;
}

/** `struct mlx5_frag_buf`: memory for a queue; one run here. */
export interface Mlx5FragBuf {
  readonly mem: DmaCoherent;
  readonly size: number;
  readonly npages: number;
}

/** `struct mlx5_db`: a doorbell record. */
export interface Mlx5Db {
  /** Bus address. */
  readonly dma: number;
  /** Its 8 bytes. */
  readonly db: Uint8Array;
}

/** `struct mlx5_core_cq`, what its maker says of it. */
export interface Mlx5CoreCqInit {
  readonly eqn: number;
  /** A completion; atomic. */
  readonly comp: (eqe: Uint8Array) => Atomic;
}

/** `struct mlx5_core_cq` */
export interface Mlx5CoreCq extends Mlx5CoreCqInit {
  readonly cqn: number;
}

/** `struct mlx5_flow_namespace`: what {@link Mlx5CoreSymbols.mlx5_get_flow_namespace} finds. */
export interface Mlx5FlowNamespace {
  readonly dev: Mlx5CoreDev;
  /** MLX5_FLOW_TABLE_TYPE_* */
  readonly table_type: number;
}

/** `struct mlx5_flow_table_attr`, as far as automatic groups take it. */
export interface Mlx5FlowTableAttr {
  readonly prio: number;
  /** Rules at most. */
  readonly max_fte: number;
  readonly autogroup: { readonly max_num_groups: number };
}

/** `struct mlx5_flow_table` */
export interface Mlx5FlowTable {
  readonly id: number;
  readonly ns: Mlx5FlowNamespace;
}

/** `struct mlx5_flow_spec`: which bits of a frame count, and what they are. */
export interface Mlx5FlowSpec {
  /** MLX5_MATCH_* */
  readonly match_criteria_enable: number;
  readonly match_criteria: Uint8Array;
  readonly match_value: Uint8Array;
}

/** `struct mlx5_flow_act` */
export interface Mlx5FlowAct {
  /** Bits MLX5_FLOW_CONTEXT_ACTION_*. */
  readonly action: number;
}

/** `struct mlx5_flow_destination` */
export type Mlx5FlowDestination =
  | { readonly type: 'tir'; readonly tir_num: number }
  | { readonly type: 'counter'; readonly counter_id: number };

/** `struct mlx5_flow_handle`: one rule. */
export interface Mlx5FlowHandle {
  readonly ft: Mlx5FlowTable;
  readonly flow_index: number;
}

/** `struct mlx5_fc`: a counter of frames and bytes. */
export interface Mlx5Fc {
  readonly id: number;
}

export interface Mlx5CoreSymbols {
  /**
   * Run a command. What the firmware refuses is logged, with its status and syndrome.
   *
   * @param outlen bytes of the output
   * @throws EIO EINVAL EBUSY ENOMEM EAGAIN by the command's status; ETIMEDOUT; ENXIO while the interface is down
   * @see `mlx5_cmd_exec`, `cmd_status_to_err`
   */
  mlx5_cmd_exec: (dev: Mlx5CoreDev, input: Uint8Array, outlen: number) => Promise<Uint8Array>;

  /** @returns the key: number and variant. @param input `create_mkey_in` with its translations; the opcode is filled in */
  mlx5_core_create_mkey: (dev: Mlx5CoreDev, input: Uint8Array) => Promise<number>;
  mlx5_core_destroy_mkey: (dev: Mlx5CoreDev, mkey: number) => Promise<void>;
  mlx5_core_alloc_pd: (dev: Mlx5CoreDev) => Promise<number>;
  mlx5_core_dealloc_pd: (dev: Mlx5CoreDev, pdn: number) => Promise<void>;
  mlx5_core_alloc_transport_domain: (dev: Mlx5CoreDev) => Promise<number>;
  mlx5_core_dealloc_transport_domain: (dev: Mlx5CoreDev, tdn: number) => Promise<void>;
  mlx5_core_create_rqt: (dev: Mlx5CoreDev, input: Uint8Array) => Promise<number>;
  mlx5_core_modify_rqt: (dev: Mlx5CoreDev, rqtn: number, input: Uint8Array) => Promise<void>;
  mlx5_core_destroy_rqt: (dev: Mlx5CoreDev, rqtn: number) => Promise<void>;
  mlx5_core_create_tir: (dev: Mlx5CoreDev, input: Uint8Array) => Promise<number>;
  mlx5_core_destroy_tir: (dev: Mlx5CoreDev, tirn: number) => Promise<void>;
  mlx5_core_create_tis: (dev: Mlx5CoreDev, input: Uint8Array) => Promise<number>;
  mlx5_core_destroy_tis: (dev: Mlx5CoreDev, tisn: number) => Promise<void>;
  /** @param input `create_cq_in` */
  mlx5_core_create_cq: (dev: Mlx5CoreDev, cq: Mlx5CoreCqInit, input: Uint8Array) => Promise<Mlx5CoreCq>;
  mlx5_core_destroy_cq: (dev: Mlx5CoreDev, cq: Mlx5CoreCq) => Promise<void>;

  /** Completion vectors of the function. */
  mlx5_comp_vectors_count: (dev: Mlx5CoreDev) => number;
  /** The event queue of a completion vector. @throws ENOENT */
  mlx5_vector2eqn: (dev: Mlx5CoreDev, vector: number) => number;
  /** A page of doorbells, shared. @throws ENOMEM, or what the firmware answers */
  mlx5_get_uars_page: (dev: Mlx5CoreDev) => Promise<Mlx5UarsPage>;
  mlx5_put_uars_page: (dev: Mlx5CoreDev, up: Mlx5UarsPage) => Promise<void>;
  /** @throws ENOMEM */
  mlx5_frag_buf_alloc_node: (dev: Mlx5CoreDev, size: number) => Mlx5FragBuf;
  mlx5_frag_buf_free: (dev: Mlx5CoreDev, buf: Mlx5FragBuf) => Atomic;
  /** Page addresses, 64 bits each, for a command. @param at byte of `input` */
  mlx5_fill_page_frag_array: (buf: Mlx5FragBuf, input: Uint8Array, at: number) => Atomic;
  /** @throws ENOMEM */
  mlx5_db_alloc: (dev: Mlx5CoreDev) => Mlx5Db;
  mlx5_db_free: (dev: Mlx5CoreDev, db: Mlx5Db) => Atomic;

  /** Be told of events that the device forwards: port changes and changes of objects. */
  mlx5_notifier_register: (dev: Mlx5CoreDev, nb: Mlx5Nb) => Atomic;
  mlx5_notifier_unregister: (dev: Mlx5CoreDev, nb: Mlx5Nb) => Atomic;

  /** @param vport 0 for the function's own; @returns 6 bytes */
  mlx5_query_nic_vport_mac_address: (dev: Mlx5CoreDev, vport: number) => Promise<Uint8Array>;
  mlx5_modify_nic_vport_mac_address: (dev: Mlx5CoreDev, vport: number, addr: Uint8Array) => Promise<void>;
  mlx5_query_nic_vport_mtu: (dev: Mlx5CoreDev) => Promise<number>;
  mlx5_modify_nic_vport_mtu: (dev: Mlx5CoreDev, mtu: number) => Promise<void>;
  /** @returns VPORT_STATE_*. @param op_mod 0 for the function's own vport */
  mlx5_query_vport_state: (dev: Mlx5CoreDev, op_mod: number, vport: number) => Promise<number>;

  /** Take frames to this address from the wire; nothing on a function without an L2 table. @throws EEXIST ENOSPC */
  mlx5_mpfs_add_mac: (dev: Mlx5CoreDev, mac: Uint8Array) => Promise<void>;
  /** @throws ENOENT */
  mlx5_mpfs_del_mac: (dev: Mlx5CoreDev, mac: Uint8Array) => Promise<void>;

  /** `MLX5_FLOW_NAMESPACE_BYPASS`: rules for received frames. `null` when it has no such tables. */
  mlx5_get_flow_namespace: (dev: Mlx5CoreDev, type: 'MLX5_FLOW_NAMESPACE_BYPASS') => Mlx5FlowNamespace | null;
  mlx5_create_auto_grouped_flow_table: (ns: Mlx5FlowNamespace, attr: Mlx5FlowTableAttr) => Promise<Mlx5FlowTable>;
  /** @throws Error (a lab bug) while it has rules */
  mlx5_destroy_flow_table: (ft: Mlx5FlowTable) => Promise<void>;
  /** @throws ENOSPC when the table is full */
  mlx5_add_flow_rules: (ft: Mlx5FlowTable, spec: Mlx5FlowSpec, act: Mlx5FlowAct, dest: readonly Mlx5FlowDestination[]) => Promise<Mlx5FlowHandle>;
  mlx5_del_flow_rules: (rule: Mlx5FlowHandle) => Promise<void>;
  mlx5_fc_create: (dev: Mlx5CoreDev) => Promise<Mlx5Fc>;
  mlx5_fc_destroy: (dev: Mlx5CoreDev, fc: Mlx5Fc) => Promise<void>;
  /** `mlx5_fc_id` is `fc.id`. */
  mlx5_fc_query: (dev: Mlx5CoreDev, fc: Mlx5Fc) => Promise<{ readonly packets: bigint; readonly bytes: bigint }>;

  /** What functions still hold, for leak reports. */
  mlx5_core_leftovers: () => readonly string[];
}

declare module '@vdpalab/abi' {
  interface KernelSymbols extends Mlx5CoreSymbols {}
}
