/** Capabilities of a function. Mirrors `fw.c` and what reads them (Linux 6.1). */
import {
  HCA_CAP_OPMOD_GET_CUR, MLX5_CAP_FLOW_TABLE, MLX5_CAP_GENERAL, MLX5_CAP_VDPA_EMULATION, MLX5_CMD_OP_QUERY_HCA_CAP, MLX5_HCA_CAP_AT, MLX5_HCA_CAP_SIZE,
  MLX5_OBJ_TYPE_VIRTIO_NET_Q, MLX5_VIRTIO_Q_EVENT_MODE_QP_MODE, mlx5_cmd_hca_cap, mlx5_flow_table_nic_cap, mlx5_function_in, mlx5_virtio_emulation_cap,
} from '@vdpalab/uapi';
import type { CoreDev } from './core-dev.ts';

/** `MLX5_CAP_PORT_TYPE_ETH` */
const PORT_TYPE_ETH = 1;

/** A field of the general capabilities that is a number. */
type GeneralField = Exclude<keyof typeof mlx5_cmd_hca_cap.fields & string, 'general_obj_types'>;

/** Capabilities as last read; all bits 0 before. */
export class Caps {
  readonly #cur = new Map<number, Uint8Array>();

  /** Those of one type. @param capType MLX5_CAP_* */
  of(capType: number): Uint8Array {
    return this.#cur.get(capType) ?? NONE;
  }

  /** `MLX5_CAP_GEN` */
  gen(field: GeneralField): number {
    return mlx5_cmd_hca_cap.get(this.of(MLX5_CAP_GENERAL), field);
  }

  /** Read all types that the general one says there are. @see `mlx5_query_hca_caps` */
  async query(dev: CoreDev): Promise<void> {
    await this.#read(dev, MLX5_CAP_GENERAL);
    if (this.gen('nic_flow_table') === 1) await this.#read(dev, MLX5_CAP_FLOW_TABLE);
    if (this.#hasObject(MLX5_OBJ_TYPE_VIRTIO_NET_Q)) await this.#read(dev, MLX5_CAP_VDPA_EMULATION);
  }

  /** Whether frames are Ethernet's. */
  get ethernet(): boolean {
    return this.gen('port_type') === PORT_TYPE_ETH && this.gen('nic_flow_table') === 1;
  }

  /** Whether it can steer received frames. */
  get steering(): boolean {
    return mlx5_flow_table_nic_cap.get(this.of(MLX5_CAP_FLOW_TABLE), 'ft_support') === 1;
  }

  /** Whether it has virtio queues for a network device. */
  get virtioNetQ(): boolean {
    const vdpa = this.of(MLX5_CAP_VDPA_EMULATION);
    return this.#hasObject(MLX5_OBJ_TYPE_VIRTIO_NET_Q)
      && (mlx5_virtio_emulation_cap.get(vdpa, 'event_mode') & (1 << MLX5_VIRTIO_Q_EVENT_MODE_QP_MODE)) !== 0
      && mlx5_virtio_emulation_cap.get(vdpa, 'eth_frame_offload_type') === 1;
  }

  /** `MLX5_ESWITCH_MANAGER` */
  get eswitchManager(): boolean {
    return this.gen('eswitch_manager') === 1;
  }

  /** Whether states of functions are told: `mlx5_vhca_event_supported`. */
  get vhcaEvents(): boolean {
    return this.gen('vhca_state') === 1;
  }

  /** Subfunctions at most; 0 when it has none. @see `mlx5_sf_max_functions` */
  get maxSfs(): number {
    if (this.gen('sf') === 0) return 0;
    return this.gen('max_num_sf') || 2 ** this.gen('log_max_sf');
  }

  #hasObject(type: number): boolean {
    return ((mlx5_cmd_hca_cap.get(this.of(MLX5_CAP_GENERAL), 'general_obj_types') >> BigInt(type)) & 1n) === 1n;
  }

  async #read(dev: CoreDev, capType: number): Promise<void> {
    const input = mlx5_function_in.make({ opcode: MLX5_CMD_OP_QUERY_HCA_CAP, op_mod: (capType << 1) | HCA_CAP_OPMOD_GET_CUR });
    const out = await dev.cmd.exec(input, MLX5_HCA_CAP_AT + MLX5_HCA_CAP_SIZE);
    this.#cur.set(capType, out.subarray(MLX5_HCA_CAP_AT));
  }
}

const NONE = new Uint8Array(MLX5_HCA_CAP_SIZE);
