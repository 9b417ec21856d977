/** Virtio queues as objects of the device. @see `include/linux/mlx5/mlx5_ifc_vdpa.h` (Linux 6.1) */
import { IfcLayout } from './ifc.ts';

/** Head of commands on general objects; the object follows at byte 0x10. */
export const mlx5_general_obj_in = new IfcLayout('general_obj_in_cmd_hdr', 16, { opcode: [0x00, 16], uid: [0x10, 16], obj_type: [0x30, 16], obj_id: [0x40, 32] });
export const mlx5_general_obj_out = new IfcLayout('general_obj_out_cmd_hdr', 16, { status: [0x00, 8], syndrome: [0x20, 32], obj_id: [0x40, 32] });
/** Where the object begins. */
export const MLX5_GENERAL_OBJ_AT = 16;

/** `struct mlx5_ifc_virtio_net_q_object_bits`, with `virtio_q_context` in it. */
export const mlx5_virtio_net_q = new IfcLayout('virtio_net_q_object', 0xc0, {
  modify_field_select: [0x00, 64],
  vhca_id: [0x60, 16],
  queue_feature_bit_mask_12_3: [0x80, 10],
  state: [0x9c, 4],
  queue_feature_bit_mask_2_0: [0xa5, 3],
  tisn_or_qpn: [0xa8, 24],
  hw_available_index: [0x140, 16],
  hw_used_index: [0x150, 16],
  virtio_q_type: [0x200, 8],
  event_mode: [0x20d, 3],
  queue_index: [0x210, 16],
  virtio_version_1_0: [0x221, 1],
  event_qpn_or_msix: [0x228, 24],
  queue_size: [0x250, 16],
  desc_addr: [0x280, 64],
  used_addr: [0x2c0, 64],
  available_addr: [0x300, 64],
  virtio_q_mkey: [0x340, 32],
  error_type: [0x378, 8],
  counter_set_id: [0x500, 32],
  pd: [0x528, 24],
});

/** Bits of `modify_field_select`; the last two are of later Linux. */
export const MLX5_VIRTQ_MODIFY_MASK_STATE = 1n << 0n;
export const MLX5_VIRTQ_MODIFY_MASK_VIRTIO_Q_MKEY = 1n << 11n;
export const MLX5_VIRTQ_MODIFY_MASK_QUEUE_FEATURES = 1n << 12n;

/** `state` */
export const MLX5_VIRTIO_NET_Q_OBJECT_STATE_INIT = 0x0;
export const MLX5_VIRTIO_NET_Q_OBJECT_STATE_RDY = 0x1;
export const MLX5_VIRTIO_NET_Q_OBJECT_STATE_SUSPEND = 0x2;
export const MLX5_VIRTIO_NET_Q_OBJECT_STATE_ERR = 0x3;

/** `event_mode` */
export const MLX5_VIRTIO_Q_EVENT_MODE_NO_MSIX_MODE = 0x0;
export const MLX5_VIRTIO_Q_EVENT_MODE_QP_MODE = 0x1;
export const MLX5_VIRTIO_Q_EVENT_MODE_MSIX_MODE = 0x2;

/** `virtio_q_type`, and its bit in `virtio_queue_type` of the capabilities. */
export const MLX5_VIRTIO_EMULATION_VIRTIO_QUEUE_TYPE_SPLIT = 0;
export const MLX5_VIRTIO_EMULATION_VIRTIO_QUEUE_TYPE_PACKED = 1;
export const MLX5_VIRTIO_EMULATION_CAP_VIRTIO_QUEUE_TYPE_SPLIT = 0x1;
export const MLX5_VIRTIO_EMULATION_CAP_VIRTIO_QUEUE_TYPE_PACKED = 0x2;

/** `struct mlx5_ifc_virtio_q_counters_bits` */
export const mlx5_virtio_q_counters = new IfcLayout('virtio_q_counters', 0x80, {
  received_desc: [0x80, 64],
  completed_desc: [0xc0, 64],
  error_cqes: [0x100, 32],
  bad_desc_errors: [0x120, 32],
  exceed_max_chain: [0x140, 32],
  invalid_buffer: [0x160, 32],
});
