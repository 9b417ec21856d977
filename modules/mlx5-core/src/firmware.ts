/** The firmware before it does anything else. Mirrors `fw.c` and parts of `main.c` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import * as uapi from '@vdpalab/uapi';
import type { CoreDev } from './core-dev.ts';

/** Milliseconds until the firmware must take commands, and milliseconds between looks. */
const FW_PRE_INIT_MS = 120_000;
const FW_INIT_WAIT_MS = 2;
/** `initializing`: the firmware is not ready. */
const INITIALIZING = 0x8000_0000;
const OUT = uapi.mlx5_cmd_out.size;
const PSID_SIZE = 16;

/** Version, as registers say. */
export function firmwareVersion(dev: CoreDev): readonly [major: number, minor: number, sub: number] {
  const rev = dev.readIseg('fw_rev');
  return [rev & 0xffff, rev >>> 16, dev.readIseg('cmdif_rev_fw_sub') & 0xffff];
}

/** @see `wait_fw_init` */
export async function waitFirmware(dev: CoreDev): Promise<void> {
  const { k } = dev;
  const until = k.ktime_get() + FW_PRE_INIT_MS * 1e6;
  while ((dev.readIseg('initializing') & INITIALIZING) !== 0) {
    if (k.ktime_get() > until) {
      dev.err(`Firmware over ${FW_PRE_INIT_MS} MS in pre-initializing state, aborting`);
      throw new KernelError('EBUSY', 'mlx5.firmware.initializing', `${dev.device.name}: the firmware is not ready after ${FW_PRE_INIT_MS} ms`);
    }
    await k.msleep(FW_INIT_WAIT_MS);
  }
}

/** @see `mlx5_core_set_issi` */
export async function setIssi(dev: CoreDev): Promise<void> {
  const out = await dev.cmd.exec(uapi.mlx5_cmd_in.make({ opcode: uapi.MLX5_CMD_OP_QUERY_ISSI }), uapi.mlx5_query_issi_out.size);
  if ((uapi.mlx5_query_issi_out.get(out, 'supported_issi_dw0') & 2) === 0) return;
  const input = uapi.mlx5_set_issi_in.make({ current_issi: 1 });
  uapi.mlx5_cmd_in.set(input, 'opcode', uapi.MLX5_CMD_OP_SET_ISSI);
  await dev.cmd.exec(input, OUT);
}

/** @see `mlx5_query_board_id` */
export async function queryBoardId(dev: CoreDev): Promise<void> {
  const { mlx5_query_adapter_out: layout } = uapi;
  const out = await dev.cmd.exec(uapi.mlx5_cmd_in.make({ opcode: uapi.MLX5_CMD_OP_QUERY_ADAPTER }), layout.size);
  const at = layout.offsetof('vsd_contd_psid');
  dev.boardId = uapi.utf8Decode(out.subarray(at, at + PSID_SIZE)).replace(/\0.*$/s, '');
}
