/** A command that the firmware refuses: its status, and a syndrome that names the check. */
import {
  MLX5_CMD_STAT_BAD_INP_LEN_ERR, MLX5_CMD_STAT_BAD_OP_ERR, MLX5_CMD_STAT_BAD_OUTP_LEN_ERR, MLX5_CMD_STAT_BAD_PARAM_ERR,
  MLX5_CMD_STAT_BAD_RES_ERR, MLX5_CMD_STAT_BAD_RES_STATE_ERR, MLX5_CMD_STAT_BAD_SYS_STATE_ERR, MLX5_CMD_STAT_IX_ERR,
  MLX5_CMD_STAT_NO_RES_ERR, MLX5_CMD_STAT_RES_BUSY,
} from '@vdpalab/uapi';

/** Syndromes; a real device's are the vendor's secret, these are this model's. The status in each one's upper byte. */
export const SYNDROMES = {
  'opcode.unknown': status(MLX5_CMD_STAT_BAD_OP_ERR, 1),
  'opcode.manager-only': status(MLX5_CMD_STAT_BAD_OP_ERR, 2),
  'length.input': status(MLX5_CMD_STAT_BAD_INP_LEN_ERR, 1),
  'length.output': status(MLX5_CMD_STAT_BAD_OUTP_LEN_ERR, 1),
  'hca.not-enabled': status(MLX5_CMD_STAT_BAD_SYS_STATE_ERR, 1),
  'hca.not-initialised': status(MLX5_CMD_STAT_BAD_SYS_STATE_ERR, 2),
  'hca.enabled': status(MLX5_CMD_STAT_BAD_SYS_STATE_ERR, 3),
  'hca.initialised': status(MLX5_CMD_STAT_BAD_SYS_STATE_ERR, 4),
  'hca.issi': status(MLX5_CMD_STAT_BAD_PARAM_ERR, 1),
  'hca.capability': status(MLX5_CMD_STAT_BAD_PARAM_ERR, 2),
  'object.none-left': status(MLX5_CMD_STAT_NO_RES_ERR, 1),
  'object.unknown': status(MLX5_CMD_STAT_BAD_RES_ERR, 1),
  'object.busy': status(MLX5_CMD_STAT_RES_BUSY, 1),
  'object.type': status(MLX5_CMD_STAT_BAD_PARAM_ERR, 3),
  'eq.size': status(MLX5_CMD_STAT_BAD_PARAM_ERR, 4),
  'eq.vector': status(MLX5_CMD_STAT_BAD_PARAM_ERR, 5),
  'key.mode': status(MLX5_CMD_STAT_BAD_PARAM_ERR, 6),
  'key.range': status(MLX5_CMD_STAT_BAD_PARAM_ERR, 7),
  'key.translations': status(MLX5_CMD_STAT_BAD_PARAM_ERR, 8),
  'rqt.size': status(MLX5_CMD_STAT_BAD_PARAM_ERR, 9),
  'rqt.queue': status(MLX5_CMD_STAT_BAD_RES_ERR, 2),
  'tir.type': status(MLX5_CMD_STAT_BAD_PARAM_ERR, 10),
  'flow.table-type': status(MLX5_CMD_STAT_BAD_PARAM_ERR, 11),
  'flow.index': status(MLX5_CMD_STAT_IX_ERR, 1),
  'flow.criteria': status(MLX5_CMD_STAT_BAD_PARAM_ERR, 12),
  'flow.action': status(MLX5_CMD_STAT_BAD_PARAM_ERR, 13),
  'l2.index': status(MLX5_CMD_STAT_IX_ERR, 2),
  'vport.number': status(MLX5_CMD_STAT_BAD_PARAM_ERR, 14),
  'vport.mtu': status(MLX5_CMD_STAT_BAD_PARAM_ERR, 15),
  'vport.address': status(MLX5_CMD_STAT_BAD_PARAM_ERR, 16),
  'sf.function-id': status(MLX5_CMD_STAT_BAD_PARAM_ERR, 17),
  'sf.state': status(MLX5_CMD_STAT_BAD_RES_STATE_ERR, 1),
  'virtq.index': status(MLX5_CMD_STAT_BAD_PARAM_ERR, 18),
  'virtq.size': status(MLX5_CMD_STAT_BAD_PARAM_ERR, 19),
  'virtq.type': status(MLX5_CMD_STAT_BAD_PARAM_ERR, 20),
  'virtq.event-mode': status(MLX5_CMD_STAT_BAD_PARAM_ERR, 21),
  'virtq.fields': status(MLX5_CMD_STAT_BAD_PARAM_ERR, 22),
  'virtq.state': status(MLX5_CMD_STAT_BAD_RES_STATE_ERR, 2),
} as const;

/** The check that failed. */
export type Syndrome = keyof typeof SYNDROMES;

function status(code: number, check: number): number {
  return ((code << 24) | check) >>> 0;
}

/** Thrown by a command; the command queue answers with it. */
export class Refusal extends Error {
  readonly status: number;
  readonly syndrome: number;

  constructor(syndrome: Syndrome) {
    super(syndrome);
    this.syndrome = SYNDROMES[syndrome];
    this.status = this.syndrome >>> 24;
  }
}
