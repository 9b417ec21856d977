/** Commands about functions: one's own, and those of others by the one that manages them. Mirrors `main.c`, `sf/cmd.c`, `sf/vhca_event.c` (Linux 6.1). */
import * as uapi from '@vdpalab/uapi';
import type { CoreDev } from './core-dev.ts';
import type { SfFirmware } from './sf-hw-table.ts';
import type { VhcaFirmware } from './vhca-event.ts';

const OUT = uapi.mlx5_cmd_out.size;

/** A command that has no input but a function. @param functionId 0 for one's own */
export async function functionCmd(dev: CoreDev, opcode: number, functionId: number): Promise<void> {
  await dev.cmd.exec(uapi.mlx5_function_in.make({ opcode, function_id: functionId }), OUT);
}

/** As {@link functionCmd}, to give something up. */
export async function undoFunctionCmd(dev: CoreDev, opcode: number, functionId: number): Promise<void> {
  await dev.cmd.undo(uapi.mlx5_function_in.make({ opcode, function_id: functionId }), OUT);
}

/** What the manager of subfunctions commands. */
export class FunctionCommands implements SfFirmware, VhcaFirmware {
  readonly #dev: CoreDev;

  constructor(dev: CoreDev) {
    this.#dev = dev;
  }

  allocSf(fnId: number): Promise<void> {
    return functionCmd(this.#dev, uapi.MLX5_CMD_OP_ALLOC_SF, fnId);
  }

  deallocSf(fnId: number): Promise<void> {
    return undoFunctionCmd(this.#dev, uapi.MLX5_CMD_OP_DEALLOC_SF, fnId);
  }

  enableHca(fnId: number): Promise<void> {
    return functionCmd(this.#dev, uapi.MLX5_CMD_OP_ENABLE_HCA, fnId);
  }

  disableHca(fnId: number): Promise<void> {
    return functionCmd(this.#dev, uapi.MLX5_CMD_OP_DISABLE_HCA, fnId);
  }

  abandonHca(fnId: number): Promise<void> {
    return undoFunctionCmd(this.#dev, uapi.MLX5_CMD_OP_DISABLE_HCA, fnId);
  }

  async setSwFunctionId(fnId: number, sfnum: number): Promise<void> {
    await this.#modifyVhcaState({ function_id: fnId, select_sw_function_id: 1, sw_function_id: sfnum });
  }

  async armVhcaEvent(fnId: number): Promise<void> {
    await this.#modifyVhcaState({ function_id: fnId, select_arm_change_event: 1, arm_change_event: 1 });
  }

  async queryVhcaState(fnId: number): Promise<{ state: number; swFunctionId: number } | null> {
    const { mlx5_query_vhca_state_out: layout } = uapi;
    const out = await this.#dev.cmd.undo(uapi.mlx5_function_in.make({ opcode: uapi.MLX5_CMD_OP_QUERY_VHCA_STATE, function_id: fnId }), layout.size);
    return out === null ? null : { state: layout.get(out, 'vhca_state'), swFunctionId: layout.get(out, 'sw_function_id') };
  }

  async #modifyVhcaState(fields: Parameters<typeof uapi.mlx5_modify_vhca_state_in.make>[0]): Promise<void> {
    await this.#dev.cmd.exec(uapi.mlx5_modify_vhca_state_in.make({ opcode: uapi.MLX5_CMD_OP_MODIFY_VHCA_STATE, ...fields }), OUT);
  }
}
