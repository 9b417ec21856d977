/** Registers, command descriptors and events of a ConnectX function. @see `include/linux/mlx5/device.h` (Linux 6.1) */
import { IfcLayout } from './ifc.ts';

/** The initialisation segment, at the start of a function's window; big endian. */
export const mlx5_init_seg = new IfcLayout('init_seg', 0x2010, {
  fw_rev: [0, 32],
  cmdif_rev_fw_sub: [0x04 * 8, 32],
  cmdq_addr_h: [0x10 * 8, 32],
  cmdq_addr_l_sz: [0x14 * 8, 32],
  cmd_dbell: [0x18 * 8, 32],
  initializing: [0x1fc * 8, 32],
  health: [0x200 * 8, 32],
  internal_timer_h: [0x1000 * 8, 32],
  internal_timer_l: [0x1004 * 8, 32],
  health_counter: [0x1010 * 8, 32],
});

/** `struct mlx5_cmd_layout`: an entry of the command queue. `in` and `out` are 16 bytes each. */
export const mlx5_cmd_layout = new IfcLayout('cmd_layout', 64, {
  type: [0, 8],
  inlen: [0x04 * 8, 32],
  in_ptr: [0x08 * 8, 64],
  in: [0x10 * 8, 32],
  out: [0x20 * 8, 32],
  out_ptr: [0x30 * 8, 64],
  outlen: [0x38 * 8, 32],
  token: [0x3c * 8, 8],
  sig: [0x3d * 8, 8],
  status_own: [0x3f * 8, 8],
});

/** `struct mlx5_cmd_prot_block`: 512 bytes of a mailbox, and where the next ones are. */
export const mlx5_cmd_prot_block = new IfcLayout('cmd_prot_block', 576, {
  data: [0, 32],
  next: [0x230 * 8, 64],
  block_num: [0x238 * 8, 32],
  token: [0x23d * 8, 8],
  ctrl_sig: [0x23e * 8, 8],
  sig: [0x23f * 8, 8],
});

export const MLX5_CMD_DATA_BLOCK_SIZE = 512;
/** Bytes of a command's input, and of its output, that lie in its queue entry. */
export const MLX5_CMD_INLINE_SIZE = 16;
/** `type` of an entry. */
export const MLX5_PCI_CMD_XPORT = 7;
/** Bit of `status_own`: the entry is the device's. */
export const CMD_OWNER_HW = 1;

/** `struct mlx5_eqe`: an entry of an event queue. */
export const mlx5_eqe = new IfcLayout('eqe', 64, {
  type: [0x01 * 8, 8],
  sub_type: [0x03 * 8, 8],
  data: [0x20 * 8, 32],
  signature: [0x3e * 8, 8],
  owner: [0x3f * 8, 8],
});

/** `data` of events, from byte 32 of the entry on. */
export const mlx5_eqe_comp = new IfcLayout('eqe_comp', 28, { cqn: [0x18 * 8, 32] });
export const mlx5_eqe_cmd = new IfcLayout('eqe_cmd', 28, { vector: [0, 32] });
export const mlx5_eqe_port_state = new IfcLayout('eqe_port_state', 28, { port: [0x40, 4] });
export const mlx5_eqe_vhca_state = new IfcLayout('eqe_vhca_state', 28, { ec_function: [0, 16], function_id: [16, 16] });
export const mlx5_eqe_vport_change = new IfcLayout('eqe_vport_change', 28, { vport_num: [16, 16] });
/** @see `mlx5_ifc_affiliated_event_header_bits` */
export const mlx5_eqe_obj_change = new IfcLayout('affiliated_event_header', 28, { obj_type: [0x10, 16], obj_id: [0x20, 32] });

/** `type` of an event. */
export const MLX5_EVENT_TYPE_COMP = 0x00;
export const MLX5_EVENT_TYPE_PORT_CHANGE = 0x09;
export const MLX5_EVENT_TYPE_CMD = 0x0a;
export const MLX5_EVENT_TYPE_PAGE_REQUEST = 0x0b;
export const MLX5_EVENT_TYPE_NIC_VPORT_CHANGE = 0x0d;
export const MLX5_EVENT_TYPE_VHCA_STATE_CHANGE = 0x0f;
export const MLX5_EVENT_TYPE_OBJECT_CHANGE = 0x27;

/** `sub_type` of a port change. */
export const MLX5_PORT_CHANGE_SUBTYPE_DOWN = 1;
export const MLX5_PORT_CHANGE_SUBTYPE_ACTIVE = 4;

/** Offsets in a UAR page: an event queue's consumer index, with and without asking for the next interrupt. */
export const MLX5_EQ_DOORBEL_OFFSET = 0x40;
export const MLX5_EQ_DOORBEL_NO_ARM_OFFSET = 0x48;
