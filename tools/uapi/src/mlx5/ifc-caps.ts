/** Capabilities, behind the 16 bytes of QUERY_HCA_CAP's output head. @see `include/linux/mlx5/mlx5_ifc.h` (Linux 6.1) */
import { IfcLayout } from './ifc.ts';

/** Where capabilities begin in the output, and the bytes of all their kinds. */
export const MLX5_HCA_CAP_AT = 16;
export const MLX5_HCA_CAP_SIZE = 0x1000;

/** `struct mlx5_ifc_cmd_hca_cap_bits` */
export const mlx5_cmd_hca_cap = new IfcLayout('cmd_hca_cap', MLX5_HCA_CAP_SIZE, {
  vhca_resource_manager: [0x1f, 1],
  event_on_vhca_state_teardown_request: [0x23, 1],
  event_on_vhca_state_in_use: [0x24, 1],
  event_on_vhca_state_active: [0x25, 1],
  event_on_vhca_state_allocated: [0x26, 1],
  event_on_vhca_state_invalid: [0x27, 1],
  vhca_id: [0x30, 16],
  log_max_eq_sz: [0xe0, 8],
  log_max_mkey: [0xea, 6],
  log_max_eq: [0xfc, 4],
  null_mkey: [0x119, 1],
  log_max_klm_list_size: [0x11a, 6],
  vport_group_manager: [0x1a0, 1],
  nic_flow_table: [0x1a6, 1],
  eswitch_manager: [0x1a7, 1],
  port_type: [0x1b6, 2],
  num_ports: [0x1b8, 8],
  uar_4k: [0x240, 1],
  umem_uid_0: [0x252, 1],
  log_pg_sz: [0x258, 8],
  log_max_transport_domain: [0x323, 5],
  log_max_pd: [0x32b, 5],
  log_max_tir: [0x373, 5],
  log_max_tis: [0x37b, 5],
  log_max_rqt: [0x38b, 5],
  log_max_rqt_size: [0x393, 5],
  nic_vport_change_event: [0x3e0, 1],
  vhca_state: [0x3ea, 1],
  general_obj_types: [0x400, 64],
  max_num_eqs: [0x470, 16],
  log_max_l2_table: [0x483, 5],
  num_of_uars_per_page: [0x520, 32],
  max_num_sf: [0x640, 16],
  sf: [0x680, 1],
  log_max_sf: [0x683, 5],
  log_min_sf_size: [0x690, 8],
  sf_base_id: [0x6f0, 16],
});

/** `struct mlx5_ifc_virtio_emulation_cap_bits` */
export const mlx5_virtio_emulation_cap = new IfcLayout('virtio_emulation_cap', MLX5_HCA_CAP_SIZE, {
  eth_frame_offload_type: [0x01, 1],
  virtio_version_1_0: [0x02, 1],
  device_features_bits_mask: [0x03, 13],
  /** Bit n for event mode n. */
  event_mode: [0x10, 8],
  virtio_queue_type: [0x18, 8],
  log_doorbell_stride: [0x33, 5],
  log_doorbell_bar_size: [0x3b, 5],
  doorbell_bar_offset: [0x40, 64],
  max_num_virtio_queues: [0x88, 24],
  /** Later than 6.1. */
  freeze_to_rdy_supported: [0xd4, 1],
  umem_1_buffer_param_a: [0x100, 32],
  umem_1_buffer_param_b: [0x120, 32],
});

/** `struct mlx5_ifc_flow_table_nic_cap_bits`: the receive side's `ft_support` and sizes. */
export const mlx5_flow_table_nic_cap = new IfcLayout('flow_table_nic_cap', MLX5_HCA_CAP_SIZE, {
  ft_support: [0x200, 1], log_max_ft_size: [0x222, 6], max_ft_level: [0x238, 8], log_max_ft_num: [0x278, 8],
});

/** Bits of `device_features_bits_mask` and `queue_feature_bit_mask`. */
export const MLX5_VIRTIO_NET_F_MRG_RXBUF = 2;
export const MLX5_VIRTIO_NET_F_GUEST_CSUM = 9;
export const MLX5_VIRTIO_NET_F_CSUM = 10;
export const MLX5_VIRTIO_NET_F_HOST_TSO6 = 11;
export const MLX5_VIRTIO_NET_F_HOST_TSO4 = 12;
