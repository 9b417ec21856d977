/** Numbers of commands, of their answers and of their objects. @see `include/linux/mlx5/mlx5_ifc.h` (Linux 6.1) */
export const MLX5_CMD_OP_QUERY_HCA_CAP = 0x100;
export const MLX5_CMD_OP_QUERY_ADAPTER = 0x101;
export const MLX5_CMD_OP_INIT_HCA = 0x102;
export const MLX5_CMD_OP_TEARDOWN_HCA = 0x103;
export const MLX5_CMD_OP_ENABLE_HCA = 0x104;
export const MLX5_CMD_OP_DISABLE_HCA = 0x105;
export const MLX5_CMD_OP_QUERY_PAGES = 0x107;
export const MLX5_CMD_OP_MANAGE_PAGES = 0x108;
export const MLX5_CMD_OP_SET_HCA_CAP = 0x109;
export const MLX5_CMD_OP_QUERY_ISSI = 0x10a;
export const MLX5_CMD_OP_SET_ISSI = 0x10b;
export const MLX5_CMD_OP_ALLOC_SF = 0x113;
export const MLX5_CMD_OP_DEALLOC_SF = 0x114;
export const MLX5_CMD_OP_CREATE_MKEY = 0x200;
export const MLX5_CMD_OP_DESTROY_MKEY = 0x202;
export const MLX5_CMD_OP_QUERY_SPECIAL_CONTEXTS = 0x203;
export const MLX5_CMD_OP_CREATE_EQ = 0x301;
export const MLX5_CMD_OP_DESTROY_EQ = 0x302;
export const MLX5_CMD_OP_CREATE_CQ = 0x400;
export const MLX5_CMD_OP_DESTROY_CQ = 0x401;
export const MLX5_CMD_OP_QUERY_VPORT_STATE = 0x750;
export const MLX5_CMD_OP_MODIFY_VPORT_STATE = 0x751;
export const MLX5_CMD_OP_QUERY_NIC_VPORT_CONTEXT = 0x754;
export const MLX5_CMD_OP_MODIFY_NIC_VPORT_CONTEXT = 0x755;
export const MLX5_CMD_OP_ALLOC_PD = 0x800;
export const MLX5_CMD_OP_DEALLOC_PD = 0x801;
export const MLX5_CMD_OP_ALLOC_UAR = 0x802;
export const MLX5_CMD_OP_DEALLOC_UAR = 0x803;
export const MLX5_CMD_OP_ALLOC_TRANSPORT_DOMAIN = 0x816;
export const MLX5_CMD_OP_DEALLOC_TRANSPORT_DOMAIN = 0x817;
export const MLX5_CMD_OP_SET_L2_TABLE_ENTRY = 0x829;
export const MLX5_CMD_OP_DELETE_L2_TABLE_ENTRY = 0x82b;
export const MLX5_CMD_OP_CREATE_TIR = 0x900;
export const MLX5_CMD_OP_DESTROY_TIR = 0x902;
export const MLX5_CMD_OP_CREATE_TIS = 0x912;
export const MLX5_CMD_OP_DESTROY_TIS = 0x914;
export const MLX5_CMD_OP_CREATE_RQT = 0x916;
export const MLX5_CMD_OP_MODIFY_RQT = 0x917;
export const MLX5_CMD_OP_DESTROY_RQT = 0x918;
export const MLX5_CMD_OP_SET_FLOW_TABLE_ROOT = 0x92f;
export const MLX5_CMD_OP_CREATE_FLOW_TABLE = 0x930;
export const MLX5_CMD_OP_DESTROY_FLOW_TABLE = 0x931;
export const MLX5_CMD_OP_CREATE_FLOW_GROUP = 0x933;
export const MLX5_CMD_OP_DESTROY_FLOW_GROUP = 0x934;
export const MLX5_CMD_OP_SET_FLOW_TABLE_ENTRY = 0x936;
export const MLX5_CMD_OP_DELETE_FLOW_TABLE_ENTRY = 0x938;
export const MLX5_CMD_OP_ALLOC_FLOW_COUNTER = 0x939;
export const MLX5_CMD_OP_DEALLOC_FLOW_COUNTER = 0x93a;
export const MLX5_CMD_OP_QUERY_FLOW_COUNTER = 0x93b;
export const MLX5_CMD_OP_CREATE_GENERAL_OBJECT = 0xa00;
export const MLX5_CMD_OP_MODIFY_GENERAL_OBJECT = 0xa01;
export const MLX5_CMD_OP_QUERY_GENERAL_OBJECT = 0xa02;
export const MLX5_CMD_OP_DESTROY_GENERAL_OBJECT = 0xa03;
export const MLX5_CMD_OP_CREATE_UCTX = 0xa04;
export const MLX5_CMD_OP_DESTROY_UCTX = 0xa06;
export const MLX5_CMD_OP_QUERY_VHCA_STATE = 0xb0d;
export const MLX5_CMD_OP_MODIFY_VHCA_STATE = 0xb0e;

/** `status` in a command's output. */
export const MLX5_CMD_STAT_OK = 0x00;
export const MLX5_CMD_STAT_INT_ERR = 0x01;
export const MLX5_CMD_STAT_BAD_OP_ERR = 0x02;
export const MLX5_CMD_STAT_BAD_PARAM_ERR = 0x03;
export const MLX5_CMD_STAT_BAD_SYS_STATE_ERR = 0x04;
export const MLX5_CMD_STAT_BAD_RES_ERR = 0x05;
export const MLX5_CMD_STAT_RES_BUSY = 0x06;
export const MLX5_CMD_STAT_LIM_ERR = 0x08;
export const MLX5_CMD_STAT_BAD_RES_STATE_ERR = 0x09;
export const MLX5_CMD_STAT_IX_ERR = 0x0a;
export const MLX5_CMD_STAT_NO_RES_ERR = 0x0f;
export const MLX5_CMD_STAT_BAD_INP_LEN_ERR = 0x50;
export const MLX5_CMD_STAT_BAD_OUTP_LEN_ERR = 0x51;

/** Delivery status in `status_own`, above the owner bit: whether the command was read at all. */
export const MLX5_CMD_DELIVERY_STAT_OK = 0x00;
export const MLX5_CMD_DELIVERY_STAT_TOK_ERR = 0x02;
export const MLX5_CMD_DELIVERY_STAT_BAD_BLK_NUM_ERR = 0x03;
export const MLX5_CMD_DELIVERY_STAT_OUT_PTR_ALIGN_ERR = 0x04;
export const MLX5_CMD_DELIVERY_STAT_IN_PTR_ALIGN_ERR = 0x05;
export const MLX5_CMD_DELIVERY_STAT_FW_ERR = 0x06;
export const MLX5_CMD_DELIVERY_STAT_IN_LENGTH_ERR = 0x07;
export const MLX5_CMD_DELIVERY_STAT_OUT_LENGTH_ERR = 0x08;
export const MLX5_CMD_DELIVERY_STAT_CMD_DESCR_ERR = 0x10;

/** `op_mod` of QUERY_HCA_CAP is one of these, shifted by one, and bit 0 for the current instead of the largest. @see `enum mlx5_cap_type` */
export const MLX5_CAP_GENERAL = 0x00;
export const MLX5_CAP_ETHERNET_OFFLOADS = 0x01;
export const MLX5_CAP_FLOW_TABLE = 0x07;
export const MLX5_CAP_ESWITCH_FLOW_TABLE = 0x08;
export const MLX5_CAP_ESWITCH = 0x09;
export const MLX5_CAP_VDPA_EMULATION = 0x13;
export const MLX5_CAP_GENERAL_2 = 0x20;
export const HCA_CAP_OPMOD_GET_MAX = 0;
export const HCA_CAP_OPMOD_GET_CUR = 1;

/** `vhca_state`. @see `sf/mlx5_ifc_vhca_event.h` */
export const MLX5_VHCA_STATE_INVALID = 0x0;
export const MLX5_VHCA_STATE_ALLOCATED = 0x1;
export const MLX5_VHCA_STATE_ACTIVE = 0x2;
export const MLX5_VHCA_STATE_IN_USE = 0x3;
export const MLX5_VHCA_STATE_TEARDOWN_REQUEST = 0x4;

/** `access_mode` of a memory key. */
export const MLX5_MKC_ACCESS_MODE_PA = 0x0;
export const MLX5_MKC_ACCESS_MODE_MTT = 0x1;
export const MLX5_MKC_ACCESS_MODE_KLMS = 0x2;

/** Flow tables: types, actions, destinations, criteria. */
export const MLX5_FLOW_TABLE_TYPE_NIC_RX = 0x0;
export const MLX5_FLOW_TABLE_TYPE_FDB = 0x4;
export const MLX5_FLOW_CONTEXT_ACTION_DROP = 0x2;
export const MLX5_FLOW_CONTEXT_ACTION_FWD_DEST = 0x4;
export const MLX5_FLOW_CONTEXT_ACTION_COUNT = 0x8;
export const MLX5_FLOW_DESTINATION_TYPE_TIR = 0x2;
export const MLX5_MATCH_OUTER_HEADERS = 0x1;

/** `disp_type` of a TIR; `rx_hash_fn`. */
export const MLX5_TIRC_DISP_TYPE_DIRECT = 0x0;
export const MLX5_TIRC_DISP_TYPE_INDIRECT = 0x1;
export const MLX5_RX_HASH_FN_TOEPLITZ = 0x2;

/** General objects: types, and their bits in `general_obj_types`. */
export const MLX5_OBJ_TYPE_VIRTIO_NET_Q = 0x000d;
export const MLX5_OBJ_TYPE_VIRTIO_Q_COUNTERS = 0x001c;

/** `state` of a vport. */
export const VPORT_STATE_DOWN = 0x0;
export const VPORT_STATE_UP = 0x1;
