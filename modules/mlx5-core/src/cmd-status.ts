/** What the firmware answers, in words and errnos. Mirrors `cmd.c` (Linux 6.1). */
import type { ErrnoName } from '@vdpalab/abi';
import * as uapi from '@vdpalab/uapi';

type Answer = readonly [text: string, errno: ErrnoName];

const STATUS: Readonly<Record<number, Answer>> = {
  [uapi.MLX5_CMD_STAT_INT_ERR]: ['internal error', 'EIO'],
  [uapi.MLX5_CMD_STAT_BAD_OP_ERR]: ['bad operation', 'EINVAL'],
  [uapi.MLX5_CMD_STAT_BAD_PARAM_ERR]: ['bad parameter', 'EINVAL'],
  [uapi.MLX5_CMD_STAT_BAD_SYS_STATE_ERR]: ['bad system state', 'EIO'],
  [uapi.MLX5_CMD_STAT_BAD_RES_ERR]: ['bad resource', 'EINVAL'],
  [uapi.MLX5_CMD_STAT_RES_BUSY]: ['resource busy', 'EBUSY'],
  [uapi.MLX5_CMD_STAT_LIM_ERR]: ['limits exceeded', 'ENOMEM'],
  [uapi.MLX5_CMD_STAT_BAD_RES_STATE_ERR]: ['bad resource state', 'EINVAL'],
  [uapi.MLX5_CMD_STAT_IX_ERR]: ['bad index', 'EINVAL'],
  [uapi.MLX5_CMD_STAT_NO_RES_ERR]: ['no resources', 'EAGAIN'],
  [uapi.MLX5_CMD_STAT_BAD_INP_LEN_ERR]: ['bad input length', 'EIO'],
  [uapi.MLX5_CMD_STAT_BAD_OUTP_LEN_ERR]: ['bad output length', 'EIO'],
};

/** @see `cmd_status_str`, `cmd_status_to_err` */
export function cmdStatus(status: number): Answer {
  return STATUS[status] ?? ['unknown status', 'EIO'];
}

const DELIVERY: Readonly<Record<number, Answer>> = {
  [uapi.MLX5_CMD_DELIVERY_STAT_TOK_ERR]: ['token error', 'EINVAL'],
  [uapi.MLX5_CMD_DELIVERY_STAT_BAD_BLK_NUM_ERR]: ['bad block number', 'EFAULT'],
  [uapi.MLX5_CMD_DELIVERY_STAT_OUT_PTR_ALIGN_ERR]: ['output pointer not aligned to block size', 'EFAULT'],
  [uapi.MLX5_CMD_DELIVERY_STAT_IN_PTR_ALIGN_ERR]: ['input pointer not aligned to block size', 'EFAULT'],
  [uapi.MLX5_CMD_DELIVERY_STAT_FW_ERR]: ['firmware internal error', 'EIO'],
  [uapi.MLX5_CMD_DELIVERY_STAT_IN_LENGTH_ERR]: ['command input length error', 'EIO'],
  [uapi.MLX5_CMD_DELIVERY_STAT_OUT_LENGTH_ERR]: ['command output length error', 'EIO'],
  [uapi.MLX5_CMD_DELIVERY_STAT_CMD_DESCR_ERR]: ['bad command descriptor type', 'EIO'],
};

/** Whether and why a command was not read at all. EBADR and ENOMSG of Linux are EINVAL and EIO here. @see `deliv_status_to_err` */
export function deliveryStatus(status: number): Answer | null {
  return status === uapi.MLX5_CMD_DELIVERY_STAT_OK ? null : DELIVERY[status] ?? ['unknown status code', 'EINVAL'];
}

const OPCODES: ReadonlyMap<number, string> = new Map(Object.entries(uapi).flatMap(([name, value]): [number, string][] =>
  (name.startsWith('MLX5_CMD_OP_') ? [[value as number, name.slice('MLX5_CMD_OP_'.length)]] : [])));

/** @see `mlx5_command_str` */
export function commandName(opcode: number): string {
  return OPCODES.get(opcode) ?? 'unknown command opcode';
}

/** Commands that have succeeded once the device is gone: what they destroy is gone, too. @see `mlx5_internal_err_ret_value` */
export function succeedsWithoutDevice(opcode: number): boolean {
  return /^(TEARDOWN|DISABLE|DESTROY|DEALLOC|DELETE|MODIFY_NIC_VPORT|MODIFY_RQT|SET_FLOW_TABLE)/.test(commandName(opcode));
}
