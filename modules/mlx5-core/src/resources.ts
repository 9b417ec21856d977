/** Objects that a command makes and another destroys. Mirrors `mr.c`, `pd.c`, `transobj.c` (Linux 6.1). */
import * as uapi from '@vdpalab/uapi';
import type { CoreDev } from './core-dev.ts';

const OUT = uapi.mlx5_cmd_out.size;

/** Run a command that makes an object. @param input its opcode is filled in @returns the object's number */
export async function create(dev: CoreDev, opcode: number, input: Uint8Array = new Uint8Array(uapi.mlx5_cmd_in.size)): Promise<number> {
  uapi.mlx5_cmd_in.set(input, 'opcode', opcode);
  return uapi.mlx5_cmd_out.get(await dev.cmd.exec(input, OUT), 'number');
}

/** Run the command that destroys it. */
export async function destroy(dev: CoreDev, opcode: number, number: number): Promise<void> {
  await dev.cmd.exec(uapi.mlx5_cmd_in.make({ opcode, number }), OUT);
}

/** @returns the key: the number the firmware chose, and the variant the driver did @see `mlx5_core_create_mkey` */
export async function createMkey(dev: CoreDev, input: Uint8Array): Promise<number> {
  const index = await create(dev, uapi.MLX5_CMD_OP_CREATE_MKEY, input);
  return ((index << 8) | uapi.mlx5_create_mkey_in.get(input, 'mkey_7_0')) >>> 0;
}

/** @see `mlx5_core_destroy_mkey` */
export async function destroyMkey(dev: CoreDev, mkey: number): Promise<void> {
  await destroy(dev, uapi.MLX5_CMD_OP_DESTROY_MKEY, mkey >>> 8);
}

/** @see `mlx5_core_modify_rqt` */
export async function modifyRqt(dev: CoreDev, rqtn: number, input: Uint8Array): Promise<void> {
  uapi.mlx5_cmd_in.set(input, 'opcode', uapi.MLX5_CMD_OP_MODIFY_RQT);
  uapi.mlx5_cmd_in.set(input, 'number', rqtn);
  await dev.cmd.exec(input, OUT);
}
