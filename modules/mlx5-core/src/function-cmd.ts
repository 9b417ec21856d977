/** Commands about functions: one's own, and those of others by the one that manages them. Mirrors `main.c`, `sf/cmd.c`, `sf/vhca_event.c` (Linux 6.1). */
import { isKernelError } from '@vdpalab/abi';
import * as uapi from '@vdpalab/uapi';
import type { CoreDev } from './core-dev.ts';
import type { SfFirmware } from './sf-hw-table.ts';
import type { VhcaFirmware } from './vhca-event.ts';

const OUT = uapi.mlx5_cmd_out.size;

/** A command that has no input but a function. @param functionId 0 for one's own */
export async function functionCmd(dev: CoreDev, opcode: number, functionId: number): Promise<void> {
  await dev.cmd.exec(uapi.mlx5_function_in.make({ opcode, function_id: functionId }), OUT);
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

  /** What the firmware refuses is in the log, and nothing can be done about it. */
  async deallocSf(fnId: number): Promise<void> {
    await this.#unchecked(functionCmd(this.#dev, uapi.MLX5_CMD_OP_DEALLOC_SF, fnId));
  }

  enableHca(fnId: number): Promise<void> {
    return functionCmd(this.#dev, uapi.MLX5_CMD_OP_ENABLE_HCA, fnId);
  }

  disableHca(fnId: number): Promise<void> {
    return functionCmd(this.#dev, uapi.MLX5_CMD_OP_DISABLE_HCA, fnId);
  }

  async setSwFunctionId(fnId: number, sfnum: number): Promise<void> {
    await this.#modifyVhcaState({ function_id: fnId, select_sw_function_id: 1, sw_function_id: sfnum });
  }

  async armVhcaEvent(fnId: number): Promise<void> {
    await this.#modifyVhcaState({ function_id: fnId, select_arm_change_event: 1, arm_change_event: 1 });
  }

  async vhcaState(fnId: number): Promise<number> {
    return (await this.#queryVhcaState(fnId)).state;
  }

  queryVhcaState(fnId: number): Promise<{ state: number; swFunctionId: number } | null> {
    return this.#unchecked(this.#queryVhcaState(fnId));
  }

  async #queryVhcaState(fnId: number): Promise<{ state: number; swFunctionId: number }> {
    const { mlx5_query_vhca_state_out: layout } = uapi;
    const input = uapi.mlx5_function_in.make({ opcode: uapi.MLX5_CMD_OP_QUERY_VHCA_STATE, function_id: fnId });
    const out = await this.#dev.cmd.exec(input, layout.size);
    return { state: layout.get(out, 'vhca_state'), swFunctionId: layout.get(out, 'sw_function_id') };
  }

  async #modifyVhcaState(fields: Parameters<typeof uapi.mlx5_modify_vhca_state_in.make>[0]): Promise<void> {
    await this.#dev.cmd.exec(uapi.mlx5_modify_vhca_state_in.make({ opcode: uapi.MLX5_CMD_OP_MODIFY_VHCA_STATE, ...fields }), OUT);
  }

  async #unchecked<T>(command: Promise<T>): Promise<T | null> {
    try {
      return await command;
    } catch (error) {
      if (!isKernelError(error)) throw error;
      return null;
    }
  }
}
