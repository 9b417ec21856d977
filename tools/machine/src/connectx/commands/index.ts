/** All commands of the firmware. */
import {
  MLX5_CMD_OP_ALLOC_PD, MLX5_CMD_OP_ALLOC_UAR, MLX5_CMD_OP_CREATE_UCTX, MLX5_CMD_OP_DEALLOC_PD, MLX5_CMD_OP_DEALLOC_UAR,
  MLX5_CMD_OP_DESTROY_UCTX, mlx5_cmd_in, mlx5_uctx,
} from '@vdpalab/uapi';
import { Refusal } from '../refusal.ts';
import type { Vhca } from '../vhca.ts';
import { alloc, free, HEAD } from './command.ts';
import type { Command, Commands } from './command.ts';
import { eventCommands } from './events.ts';
import { flowCommands } from './flow.ts';
import { hcaCommands } from './hca.ts';
import { keyCommands } from './keys.ts';
import { receiveCommands } from './receive.ts';
import { sfCommands } from './sf.ts';
import { virtioCommands } from './virtio.ts';
import { vportCommands } from './vport.ts';

const plainCommands: Commands = {
  [MLX5_CMD_OP_ALLOC_PD]: alloc(({ pds }) => pds),
  [MLX5_CMD_OP_DEALLOC_PD]: free(({ pds }) => pds),
  [MLX5_CMD_OP_ALLOC_UAR]: { ...alloc(({ uars }) => uars), needs: 'enabled' },
  [MLX5_CMD_OP_DEALLOC_UAR]: { ...free(({ uars }) => uars), needs: 'enabled' },
  [MLX5_CMD_OP_CREATE_UCTX]: {
    ...alloc(({ uctxs }) => uctxs),
    run: ({ resources }, _, output) => mlx5_uctx.set(output, 'uid', resources.uctxs.add((number) => number)),
  },
  [MLX5_CMD_OP_DESTROY_UCTX]: {
    input: HEAD, output: 8, needs: 'initialised',
    run: ({ resources }, input) => void resources.uctxs.remove(mlx5_uctx.get(input, 'uid')) as undefined,
  },
};

const COMMANDS: Commands = {
  ...hcaCommands, ...plainCommands, ...eventCommands, ...keyCommands, ...receiveCommands, ...flowCommands, ...vportCommands, ...sfCommands, ...virtioCommands,
};

/** Carry a command out. @throws Refusal */
export function execute(vhca: Vhca, input: Uint8Array, output: Uint8Array): undefined {
  const command: Command | undefined = COMMANDS[mlx5_cmd_in.get(input, 'opcode')];
  if (command === undefined) throw new Refusal('opcode.unknown');
  if (command.manager === true && vhca.subfunctions === null) throw new Refusal('opcode.manager-only');
  if (input.length < command.input) throw new Refusal('length.input');
  if (output.length < command.output) throw new Refusal('length.output');
  if (command.needs !== 'nothing' && vhca.stage === 'disabled') throw new Refusal('hca.not-enabled');
  if (command.needs === 'initialised' && vhca.stage !== 'initialised') throw new Refusal('hca.not-initialised');
  return command.run(vhca, input, output);
}
