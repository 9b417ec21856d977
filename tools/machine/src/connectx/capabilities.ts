/** What a function says it can do. */
import {
  MLX5_CAP_ESWITCH_FLOW_TABLE, MLX5_CAP_FLOW_TABLE, MLX5_CAP_GENERAL, MLX5_CAP_VDPA_EMULATION, MLX5_HCA_CAP_SIZE, MLX5_OBJ_TYPE_VIRTIO_NET_Q,
  MLX5_OBJ_TYPE_VIRTIO_Q_COUNTERS, MLX5_VIRTIO_EMULATION_CAP_VIRTIO_QUEUE_TYPE_PACKED, MLX5_VIRTIO_EMULATION_CAP_VIRTIO_QUEUE_TYPE_SPLIT, MLX5_VIRTIO_NET_F_MRG_RXBUF,
  MLX5_VIRTIO_Q_EVENT_MODE_MSIX_MODE, MLX5_VIRTIO_Q_EVENT_MODE_NO_MSIX_MODE, MLX5_VIRTIO_Q_EVENT_MODE_QP_MODE, bits, mlx5_cmd_hca_cap,
  mlx5_flow_table_nic_cap, mlx5_virtio_emulation_cap,
} from '@vdpalab/uapi';
import { LOG_MAX_EQ_SIZE } from './commands/events.ts';
import { LOG_MAX_FT_NUM, LOG_MAX_FT_SIZE } from './flow-tables.ts';
import { logMaxL2Table } from './l2-table.ts';
import { LOG_WINDOW_PAGES, SF_BASE_ID, VIRTIO_DOORBELL_OFFSET } from './layout.ts';
import { LOG_MAX_KLMS, LOG_MAX_MKEY } from './memory-keys.ts';
import { LOG_MAX } from './resources.ts';
import type { Vhca } from './vhca.ts';

/** `port_type` of Ethernet. */
const ETHERNET = 1;
/** log2 of a page, above 4 KiB, in `log_pg_sz`. */
const LOG_PAGE = 12;

function general({ chip: { config }, vhcaId, subfunctions }: Vhca): Uint8Array {
  const manager = Number(subfunctions !== null);
  const sf = subfunctions !== null && config.subfunctions > 0 && config.without?.includes('sf') !== true;
  return mlx5_cmd_hca_cap.make({
    vhca_id: vhcaId,
    log_max_eq: LOG_MAX.eq, max_num_eqs: (1 << LOG_MAX.eq) - 1, log_max_eq_sz: LOG_MAX_EQ_SIZE,
    log_max_mkey: LOG_MAX_MKEY, null_mkey: 1, log_max_klm_list_size: LOG_MAX_KLMS,
    vport_group_manager: manager, eswitch_manager: manager, nic_flow_table: 1, port_type: ETHERNET, num_ports: 1,
    uar_4k: 1, umem_uid_0: Number(config.without?.includes('umem-uid-0') !== true), log_pg_sz: LOG_PAGE, num_of_uars_per_page: 1,
    log_max_pd: LOG_MAX.pd, log_max_transport_domain: LOG_MAX.transportDomain,
    log_max_tir: LOG_MAX.tir, log_max_tis: LOG_MAX.tis, log_max_rqt: LOG_MAX.rqt, log_max_rqt_size: LOG_MAX.rqtSize,
    nic_vport_change_event: 1, log_max_l2_table: subfunctions === null ? 0 : logMaxL2Table(config.subfunctions),
    general_obj_types: bits(MLX5_OBJ_TYPE_VIRTIO_NET_Q, MLX5_OBJ_TYPE_VIRTIO_Q_COUNTERS),
    log_min_sf_size: LOG_WINDOW_PAGES,
    ...(sf ? {
      sf: 1, max_num_sf: config.subfunctions, log_max_sf: Math.ceil(Math.log2(config.subfunctions)), sf_base_id: SF_BASE_ID,
      vhca_state: 1, vhca_resource_manager: 1, event_on_vhca_state_allocated: 1, event_on_vhca_state_active: 1, event_on_vhca_state_in_use: 1,
      event_on_vhca_state_teardown_request: 1, event_on_vhca_state_invalid: 1,
    } : {}),
  });
}

function vdpa({ chip: { config } }: Vhca): Uint8Array {
  const has = (what: 'split' | 'virtio-1.0'): boolean => config.without?.includes(what) !== true;
  return mlx5_virtio_emulation_cap.make({
    eth_frame_offload_type: 1, virtio_version_1_0: Number(has('virtio-1.0')), device_features_bits_mask: 1 << MLX5_VIRTIO_NET_F_MRG_RXBUF,
    event_mode: (1 << MLX5_VIRTIO_Q_EVENT_MODE_NO_MSIX_MODE) | (1 << MLX5_VIRTIO_Q_EVENT_MODE_QP_MODE) | (1 << MLX5_VIRTIO_Q_EVENT_MODE_MSIX_MODE),
    virtio_queue_type: (has('split') ? MLX5_VIRTIO_EMULATION_CAP_VIRTIO_QUEUE_TYPE_SPLIT : 0) | (config.packed === true ? MLX5_VIRTIO_EMULATION_CAP_VIRTIO_QUEUE_TYPE_PACKED : 0),
    doorbell_bar_offset: BigInt(VIRTIO_DOORBELL_OFFSET), max_num_virtio_queues: 2 * config.queue_pairs,
  });
}

function flowTables(): Uint8Array {
  return mlx5_flow_table_nic_cap.make({ ft_support: 1, log_max_ft_size: LOG_MAX_FT_SIZE, max_ft_level: 64, log_max_ft_num: LOG_MAX_FT_NUM });
}

/** Capabilities of one kind; zeros for a kind this device has none of. @param kind MLX5_CAP_* */
export function capabilities(vhca: Vhca, kind: number): Uint8Array {
  switch (kind) {
    case MLX5_CAP_GENERAL: return general(vhca);
    case MLX5_CAP_FLOW_TABLE: return flowTables();
    case MLX5_CAP_ESWITCH_FLOW_TABLE: return vhca.subfunctions === null ? new Uint8Array(MLX5_HCA_CAP_SIZE) : flowTables();
    case MLX5_CAP_VDPA_EMULATION: return vdpa(vhca);
    default: return new Uint8Array(MLX5_HCA_CAP_SIZE);
  }
}
