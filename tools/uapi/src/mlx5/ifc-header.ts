/** What every command begins with, and commands that are little more. @see `include/linux/mlx5/mlx5_ifc.h` (Linux 6.1) */
import { IfcLayout } from './ifc.ts';

/** Head of every input. `number` is the object a command is about: `eqn`, `pd`, `uar`, `tirn`, `mkey_index` and so on. */
export const mlx5_cmd_in = new IfcLayout('mbox_in', 16, {
  opcode: [0x00, 16],
  uid: [0x10, 16],
  op_mod: [0x30, 16],
  number: [0x48, 24],
});

/** Head of every output. `number` is the object that was made. */
export const mlx5_cmd_out = new IfcLayout('mbox_out', 16, {
  status: [0x00, 8],
  syndrome: [0x20, 32],
  number: [0x48, 24],
});

/** Commands about another function: ENABLE_HCA, DISABLE_HCA, ALLOC_SF, DEALLOC_SF, QUERY_HCA_CAP, QUERY_VHCA_STATE. */
export const mlx5_function_in = new IfcLayout('function_in', 16, {
  opcode: [0x00, 16],
  op_mod: [0x30, 16],
  /** QUERY_HCA_CAP: `other_function`; elsewhere `embedded_cpu_function`. */
  other_function: [0x40, 1],
  function_id: [0x50, 16],
});

/** Head of commands about a vport: one's own, or with `other_vport` any, for the eswitch manager. */
export const mlx5_vport_in = new IfcLayout('vport_in', 16, {
  opcode: [0x00, 16],
  op_mod: [0x30, 16],
  other_vport: [0x40, 1],
  vport_number: [0x50, 16],
});

/** QUERY_PAGES: what the device wants of the host. */
export const mlx5_query_pages_out = new IfcLayout('query_pages_out', 16, { function_id: [0x50, 16], num_pages: [0x60, 32] });

export const mlx5_query_issi_out = new IfcLayout('query_issi_out', 0x70, { current_issi: [0x50, 16], supported_issi_dw0: [0x360, 32] });
export const mlx5_set_issi_in = new IfcLayout('set_issi_in', 16, { opcode: [0x00, 16], current_issi: [0x50, 16] });

/** QUERY_ADAPTER: the board, `vsd_contd_psid` is 16 bytes. */
export const mlx5_query_adapter_out = new IfcLayout('query_adapter_out', 0x110, { ieee_vendor_id: [0x148, 24], vsd_contd_psid: [0x100 * 8, 32] });

export const mlx5_query_special_contexts_out = new IfcLayout('query_special_contexts_out', 0x20, { resd_lkey: [0x60, 32], null_mkey: [0x80, 32] });

/** `struct mlx5_ifc_vhca_state_context_bits`, in the output of QUERY_VHCA_STATE and the input of MODIFY_VHCA_STATE. */
export const mlx5_query_vhca_state_out = new IfcLayout('query_vhca_state_out', 0x28, {
  arm_change_event: [0x80, 1], vhca_state: [0x8c, 4], sw_function_id: [0xa0, 32],
});
export const mlx5_modify_vhca_state_in = new IfcLayout('modify_vhca_state_in', 0x28, {
  opcode: [0x00, 16], function_id: [0x50, 16],
  select_sw_function_id: [0x7e, 1], select_arm_change_event: [0x7f, 1],
  arm_change_event: [0x80, 1], sw_function_id: [0xa0, 32],
});

export const mlx5_query_vport_state_out = new IfcLayout('query_vport_state_out', 16, { admin_state: [0x78, 4], state: [0x7c, 4] });
export const mlx5_modify_vport_state_in = new IfcLayout('modify_vport_state_in', 16, {
  opcode: [0x00, 16], other_vport: [0x40, 1], vport_number: [0x50, 16], admin_state: [0x78, 4],
});

/** CREATE_UCTX's output: an identity of commands. */
export const mlx5_uctx = new IfcLayout('uctx', 16, { uid: [0x50, 16] });

/** Flow counters. */
export const mlx5_flow_counter = new IfcLayout('flow_counter', 16, { flow_counter_id: [0x40, 32] });
export const mlx5_query_flow_counter_in = new IfcLayout('query_flow_counter_in', 0x20, { opcode: [0, 16], clear: [0xc0, 1], flow_counter_id: [0xe0, 32] });
export const mlx5_query_flow_counter_out = new IfcLayout('query_flow_counter_out', 0x20, { packets: [0x80, 64], octets: [0xc0, 64] });

/** SET_L2_TABLE_ENTRY: a MAC address that the function takes from the wire. */
export const mlx5_set_l2_table_entry_in = new IfcLayout('set_l2_table_entry_in', 0x40, {
  opcode: [0x00, 16], table_index: [0xa8, 24], vlan_valid: [0xf3, 1], vlan: [0xf4, 12], mac_addr_47_32: [0x110, 16], mac_addr_31_0: [0x120, 32],
});
export const mlx5_delete_l2_table_entry_in = new IfcLayout('delete_l2_table_entry_in', 0x40, { opcode: [0x00, 16], table_index: [0xa8, 24] });
