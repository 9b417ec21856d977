/** Flow tables: which frames go to which receive resource. @see `include/linux/mlx5/mlx5_ifc.h` (Linux 6.1) */
import { IfcLayout } from './ifc.ts';

export const mlx5_create_flow_table_in = new IfcLayout('create_flow_table_in', 0x40, {
  opcode: [0x00, 16], other_vport: [0x40, 1], vport_number: [0x50, 16], table_type: [0x80, 8], level: [0xc8, 8], log_size: [0xd8, 8],
});

/** DESTROY_FLOW_TABLE, SET_FLOW_TABLE_ROOT, DESTROY_FLOW_GROUP, DELETE_FLOW_TABLE_ENTRY: which table, and what of it. */
export const mlx5_flow_table_in = new IfcLayout('flow_table_in', 0x40, {
  opcode: [0x00, 16], other_vport: [0x40, 1], vport_number: [0x50, 16], table_type: [0x80, 8], table_id: [0xa8, 24],
  /** DESTROY_FLOW_GROUP. */
  group_id: [0xc0, 32],
  /** DELETE_FLOW_TABLE_ENTRY. */
  flow_index: [0x100, 32],
});

/** CREATE_FLOW_GROUP: entries of these indices match by these bits; `match_criteria` is a {@link mlx5_fte_match_outer}. */
export const mlx5_create_flow_group_in = new IfcLayout('create_flow_group_in', 0x400, {
  opcode: [0x00, 16], table_type: [0x80, 8], table_id: [0xa8, 24], start_flow_index: [0xe0, 32], end_flow_index: [0x120, 32],
  match_criteria_enable: [0x1f8, 8], match_criteria: [0x200, 32],
});

/** SET_FLOW_TABLE_ENTRY; destinations, then counters, 64 bits each, follow at byte 0x340. */
export const mlx5_set_fte_in = new IfcLayout('set_fte_in', 0x340, {
  opcode: [0x00, 16], table_type: [0x80, 8], table_id: [0xa8, 24], flow_index: [0x100, 32],
  group_id: [0x220, 32], flow_tag: [0x248, 24], action: [0x270, 16], destination_list_size: [0x288, 24], flow_counter_list_size: [0x2a8, 24],
  match_value: [0x400, 32],
});

/** `struct mlx5_ifc_dest_format_bits`; a counter's entry has its id in the first word. */
export const mlx5_dest_format = new IfcLayout('dest_format', 8, { destination_type: [0x00, 8], destination_id: [0x08, 24] });

/** `outer_headers` of `struct mlx5_ifc_fte_match_param_bits`. */
export const mlx5_fte_match_outer = new IfcLayout('fte_match_set_lyr_2_4', 0x40, {
  smac_47_16: [0x00, 32], smac_15_0: [0x20, 16], ethertype: [0x30, 16],
  dmac_47_16: [0x40, 32], dmac_15_0: [0x60, 16], first_vid: [0x74, 12], cvlan_tag: [0x90, 1],
});
