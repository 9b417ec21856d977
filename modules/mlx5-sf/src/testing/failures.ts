/** Symbols of this module that fail once, for tests of what is left then. */
import { KernelError } from '@vdpalab/abi';
import {
  MLX5_CMD_OP_CREATE_GENERAL_OBJECT, MLX5_CMD_OP_MODIFY_GENERAL_OBJECT, MLX5_CMD_OP_QUERY_SPECIAL_CONTEXTS, MLX5_GENERAL_OBJ_AT,
  MLX5_VIRTIO_NET_Q_OBJECT_STATE_RDY, mlx5_cmd_in, mlx5_virtio_net_q,
} from '@vdpalab/uapi';

type Call = (...args: readonly unknown[]) => unknown;

/** What takes something, and may be refused. */
const FALLIBLE = new Set([
  'mlx5_cmd_exec', 'mlx5_core_create_mkey', 'mlx5_core_alloc_pd', 'mlx5_core_alloc_transport_domain', 'mlx5_core_create_rqt', 'mlx5_core_modify_rqt', 'mlx5_core_create_tir',
  'mlx5_core_create_tis', 'mlx5_core_create_cq', 'mlx5_vector2eqn', 'mlx5_query_nic_vport_mac_address', 'mlx5_query_nic_vport_mtu', 'mlx5_modify_nic_vport_mtu',
  'mlx5_query_vport_state', 'mlx5_mpfs_add_mac', 'mlx5_create_auto_grouped_flow_table', 'mlx5_add_flow_rules', 'dma_map_single', 'pci_iomap_range',
  '__vdpa_alloc_device', '_vdpa_register_device', 'vdpa_mgmtdev_register', '__auxiliary_driver_register', 'vringh_init_iotlb',
]);

/** Whether a command makes an object, sets a queue going, or begins a device; a device that does not even stop its queues is past help. */
function makes(input: Uint8Array): boolean {
  switch (mlx5_cmd_in.get(input, 'opcode')) {
    case MLX5_CMD_OP_CREATE_GENERAL_OBJECT:
    case MLX5_CMD_OP_QUERY_SPECIAL_CONTEXTS: return true;
    case MLX5_CMD_OP_MODIFY_GENERAL_OBJECT: return mlx5_virtio_net_q.get(input, 'state', MLX5_GENERAL_OBJ_AT) === MLX5_VIRTIO_NET_Q_OBJECT_STATE_RDY;
    default: return false;
  }
}

/** Counts calls, and lets one fail. */
export class Failures {
  /** Calls until the one that fails; 0 for none. */
  left = 0;
  /** The symbol that has failed, until it is asked for. */
  #failed: string | null = null;

  /** For `bootBuiltins`. */
  readonly wrap = (symbol: string, value: unknown, importer: string): unknown => {
    if (importer !== 'mlx5_vdpa' || !FALLIBLE.has(symbol)) return value;
    return (...args: readonly unknown[]): unknown => {
      if (symbol === 'mlx5_cmd_exec' && !makes(args[1] as Uint8Array)) return (value as Call)(...args);
      if (this.left === 0 || --this.left > 0) return (value as Call)(...args);
      this.#failed = symbol;
      const error = new KernelError('ENOMEM', 'test.failure', `${symbol} fails`);
      if (value instanceof Function && value.constructor.name === 'AsyncFunction') return Promise.reject(error);
      throw error;
    };
  };

  /** Whether the failure came, and where. */
  take(): string | null {
    const failed = this.#failed;
    this.#failed = null;
    this.left = 0;
    return failed;
  }
}
