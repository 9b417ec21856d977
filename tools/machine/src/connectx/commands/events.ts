/** Commands about event and completion queues. */
import {
  MLX5_CMD_OP_CREATE_CQ, MLX5_CMD_OP_CREATE_EQ, MLX5_CMD_OP_DESTROY_CQ, MLX5_CMD_OP_DESTROY_EQ, mlx5_cmd_in, mlx5_cmd_out, mlx5_create_cq_in,
  mlx5_create_eq_in, mlx5_eqe,
} from '@vdpalab/uapi';
import { EventQueue } from '../event-queue.ts';
import { Refusal } from '../refusal.ts';
import { free, HEAD } from './command.ts';
import type { Commands } from './command.ts';
import { addresses } from './pages.ts';

const PAGE_SIZE = 4096;
/** log2 of the entries of an event queue at most. */
export const LOG_MAX_EQ_SIZE = 14;

export const eventCommands: Commands = {
  [MLX5_CMD_OP_CREATE_EQ]: {
    input: mlx5_create_eq_in.size, output: HEAD, needs: 'enabled',
    run({ resources, chip }, input, output) {
      const logSize = mlx5_create_eq_in.get(input, 'log_eq_size');
      const vector = mlx5_create_eq_in.get(input, 'intr');
      if (logSize > LOG_MAX_EQ_SIZE || mlx5_create_eq_in.get(input, 'log_page_size') !== 0) throw new Refusal('eq.size');
      const pages = addresses(input, mlx5_create_eq_in.size, Math.ceil((mlx5_eqe.size << logSize) / PAGE_SIZE));
      if (pages === null) throw new Refusal('eq.size');
      if (vector >= chip.config.vectors) throw new Refusal('eq.vector');
      const settings = { logSize, pages, vector, mask: mlx5_create_eq_in.get(input, 'event_bitmask') };
      mlx5_cmd_out.set(output, 'number', resources.eqs.add((number) => new EventQueue(number, settings, chip)));
    },
  },
  [MLX5_CMD_OP_DESTROY_EQ]: {
    ...free(({ eqs }) => eqs, (eq, { resources }) => {
      if ([...resources.cqs.values()].includes(eq)) throw new Refusal('object.busy');
    }),
    needs: 'enabled',
  },
  [MLX5_CMD_OP_CREATE_CQ]: {
    input: mlx5_create_cq_in.size, output: HEAD, needs: 'initialised',
    run({ resources }, input, output) {
      const eq = resources.eqs.get(mlx5_create_cq_in.get(input, 'c_eqn'));
      mlx5_cmd_out.set(output, 'number', resources.cqs.add(() => eq));
    },
  },
  [MLX5_CMD_OP_DESTROY_CQ]: {
    input: HEAD, output: 8, needs: 'initialised',
    run({ resources }, input) {
      const number = mlx5_cmd_in.get(input, 'number');
      const used = [...resources.queues.values()].some(({ settings }) => settings.eventQueue !== null && settings.event === number);
      if (used) throw new Refusal('object.busy');
      resources.cqs.remove(number);
    },
  },
};
