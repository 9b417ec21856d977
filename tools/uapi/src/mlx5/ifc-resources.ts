/** Queues of events, memory keys, receive resources. @see `include/linux/mlx5/mlx5_ifc.h` (Linux 6.1) */
import { IfcLayout } from './ifc.ts';

/** CREATE_EQ; `pas`, 64 bits each, follow at byte 0x110. The answer's `eqn` is its `number`. */
export const mlx5_create_eq_in = new IfcLayout('create_eq_in', 0x110, {
  opcode: [0x00, 16],
  oi: [0x8e, 1],
  st: [0x94, 4],
  page_offset: [0xd4, 6],
  log_eq_size: [0xe3, 5],
  uar_page: [0xe8, 24],
  intr: [0x134, 12],
  log_page_size: [0x143, 5],
  consumer_counter: [0x1c8, 24],
  /** Event types 0 to 63, bit n for type n. */
  event_bitmask: [0x2c0, 64],
});

/** CREATE_CQ, as far as a completion event needs it: the event queue. */
export const mlx5_create_cq_in = new IfcLayout('create_cq_in', 0x110, { opcode: [0x00, 16], c_eqn: [0x138, 8] });

/** CREATE_MKEY; translations follow at byte 0x110: `pas` of 64 bits, or `klm`s. The key is `number << 8 | mkey_7_0`. */
export const mlx5_create_mkey_in = new IfcLayout('create_mkey_in', 0x110, {
  opcode: [0x00, 16],
  uid: [0x10, 16],
  free: [0x81, 1],
  access_mode_4_2: [0x83, 3],
  lw: [0x94, 1],
  lr: [0x95, 1],
  access_mode_1_0: [0x96, 2],
  qpn: [0xa0, 24],
  mkey_7_0: [0xb8, 8],
  length64: [0xe0, 1],
  pd: [0xe8, 24],
  start_addr: [0x100, 64],
  len: [0x140, 64],
  translations_octword_size: [0x220, 32],
  log_page_size: [0x25b, 5],
  translations_octword_actual_size: [0x300, 32],
});

/** `struct mlx5_klm`: a span of an indirect key. */
export const mlx5_klm = new IfcLayout('klm', 16, { bcount: [0x00, 32], key: [0x20, 32], va: [0x40, 64] });

/** CREATE_TIS: where a transmit queue sends from. */
export const mlx5_create_tis_in = new IfcLayout('create_tis_in', 0xc0, { opcode: [0x00, 16], transport_domain: [0x228, 24] });

/** CREATE_TIR: where received frames go. */
export const mlx5_create_tir_in = new IfcLayout('create_tir_in', 0x110, {
  opcode: [0x00, 16],
  disp_type: [0x120, 4],
  indirect_table: [0x208, 24],
  rx_hash_fn: [0x220, 4],
  transport_domain: [0x228, 24],
});

/** CREATE_RQT and MODIFY_RQT, whose `number` is the table; queue numbers, 32 bits each, follow at byte 0x110. */
export const mlx5_rqt_in = new IfcLayout('create_rqt_in', 0x110, {
  opcode: [0x00, 16],
  /** MODIFY_RQT: bit 0 for the list. */
  modify_bitmask: [0x80, 64],
  list_q_type: [0x1a5, 3],
  rqt_max_size: [0x1b0, 16],
  rqt_actual_size: [0x1d0, 16],
});
export const MLX5_RQTC_LIST_Q_TYPE_VIRTIO_NET_Q = 0x1;

/** `struct mlx5_ifc_nic_vport_context_bits`: at byte 0x10 of QUERY's output, at byte 0x100 of MODIFY's input. */
export const mlx5_nic_vport_context = new IfcLayout('nic_vport_context', 0x100, {
  mtu: [0x130, 16],
  promisc_all: [0x782, 1],
  permanent_mac_47_32: [0x7b0, 16],
  permanent_mac_31_0: [0x7c0, 32],
});
export const MLX5_QUERY_NIC_VPORT_CONTEXT_AT = 0x10;
export const MLX5_MODIFY_NIC_VPORT_CONTEXT_AT = 0x100;
export const mlx5_modify_nic_vport_context_in = new IfcLayout('modify_nic_vport_context_in', 0x200, {
  opcode: [0x00, 16],
  other_vport: [0x40, 1],
  vport_number: [0x50, 16],
  select_mtu: [0x79, 1],
  select_promisc: [0x7b, 1],
  select_permanent_address: [0x7c, 1],
});
