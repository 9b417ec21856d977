/** Commands by which the physical function manages subfunctions. */
import {
  MLX5_CMD_OP_ALLOC_SF, MLX5_CMD_OP_DEALLOC_SF, MLX5_CMD_OP_MODIFY_VHCA_STATE, MLX5_CMD_OP_QUERY_VHCA_STATE, mlx5_function_in,
  mlx5_modify_vhca_state_in, mlx5_query_vhca_state_out,
} from '@vdpalab/uapi';
import { Refusal } from '../refusal.ts';
import type { Subfunctions } from '../subfunctions.ts';
import { HEAD } from './command.ts';
import type { Command, Commands } from './command.ts';

/** A command on the subfunction it names. */
function onSubfunction(size: { readonly input: number; readonly output: number }, run: (all: Subfunctions, functionId: number, input: Uint8Array, output: Uint8Array) => undefined): Command {
  return {
    ...size, needs: 'initialised', manager: true,
    run({ subfunctions, chip }, input, output) {
      if (chip.config.without?.includes('sf') === true) throw new Refusal('opcode.unknown');
      return run(subfunctions!, mlx5_function_in.get(input, 'function_id'), input, output); // a manager has them
    },
  };
}

export const sfCommands: Commands = {
  [MLX5_CMD_OP_ALLOC_SF]: onSubfunction({ input: HEAD, output: 8 }, (all, functionId) => all.alloc(functionId)),
  [MLX5_CMD_OP_DEALLOC_SF]: onSubfunction({ input: HEAD, output: 8 }, (all, functionId) => all.dealloc(functionId)),
  [MLX5_CMD_OP_QUERY_VHCA_STATE]: onSubfunction({ input: HEAD, output: mlx5_query_vhca_state_out.size }, (all, functionId, _, output) => {
    const { state, swFunctionId, armed } = all.slot(functionId);
    mlx5_query_vhca_state_out.set(output, 'vhca_state', state);
    mlx5_query_vhca_state_out.set(output, 'sw_function_id', swFunctionId);
    mlx5_query_vhca_state_out.set(output, 'arm_change_event', Number(armed));
  }),
  [MLX5_CMD_OP_MODIFY_VHCA_STATE]: onSubfunction({ input: mlx5_modify_vhca_state_in.size, output: 8 }, (all, functionId, input) => {
    const slot = all.slot(functionId);
    if (mlx5_modify_vhca_state_in.get(input, 'select_sw_function_id') === 1) slot.swFunctionId = mlx5_modify_vhca_state_in.get(input, 'sw_function_id');
    if (mlx5_modify_vhca_state_in.get(input, 'select_arm_change_event') === 1) slot.armed = mlx5_modify_vhca_state_in.get(input, 'arm_change_event') === 1;
  }),
};
