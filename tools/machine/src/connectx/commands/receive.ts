/** Commands about receive and transmit resources. */
import {
  MLX5_CMD_OP_ALLOC_TRANSPORT_DOMAIN, MLX5_CMD_OP_CREATE_RQT, MLX5_CMD_OP_CREATE_TIR, MLX5_CMD_OP_CREATE_TIS,
  MLX5_CMD_OP_DEALLOC_TRANSPORT_DOMAIN, MLX5_CMD_OP_DESTROY_RQT, MLX5_CMD_OP_DESTROY_TIR, MLX5_CMD_OP_DESTROY_TIS, MLX5_CMD_OP_MODIFY_RQT,
  MLX5_RQTC_LIST_Q_TYPE_VIRTIO_NET_Q, MLX5_TIRC_DISP_TYPE_DIRECT, MLX5_TIRC_DISP_TYPE_INDIRECT, be32At, mlx5_cmd_in, mlx5_cmd_out,
  mlx5_create_tir_in, mlx5_create_tis_in, mlx5_rqt_in,
} from '@vdpalab/uapi';
import { Refusal } from '../refusal.ts';
import { LOG_MAX } from '../resources.ts';
import type { Resources, Rqt } from '../resources.ts';
import { alloc, free, HEAD } from './command.ts';
import type { Commands } from './command.ts';

/** Queues of a table: virtio queues that receive. @throws Refusal */
function queuesOf(input: Uint8Array, { queues }: Resources, max: number): number[] {
  const size = mlx5_rqt_in.get(input, 'rqt_actual_size');
  if (size === 0 || size > max || input.length < mlx5_rqt_in.size + 4 * size) throw new Refusal('rqt.size');
  return Array.from({ length: size }, (_, i) => {
    const number = be32At(input, mlx5_rqt_in.size + 4 * i) & 0xff_ffff;
    if (queues.peek(number)?.sends !== false) throw new Refusal('rqt.queue');
    return number;
  });
}

/** Put a list of queues into a table; queues know how many tables name them. */
function fill(rqt: Rqt, queues: readonly number[], resources: Resources): undefined {
  for (const number of rqt.queues) resources.queues.get(number).users--;
  rqt.queues = queues;
  for (const number of queues) resources.queues.get(number).users++;
}

export const receiveCommands: Commands = {
  [MLX5_CMD_OP_ALLOC_TRANSPORT_DOMAIN]: alloc(({ transportDomains }) => transportDomains),
  [MLX5_CMD_OP_DEALLOC_TRANSPORT_DOMAIN]: free(({ transportDomains }) => transportDomains),
  [MLX5_CMD_OP_CREATE_TIS]: {
    input: mlx5_create_tis_in.size, output: HEAD, needs: 'initialised',
    run({ resources }, input, output) {
      const domain = resources.transportDomains.get(mlx5_create_tis_in.get(input, 'transport_domain'));
      mlx5_cmd_out.set(output, 'number', resources.tiss.add(() => domain));
    },
  },
  [MLX5_CMD_OP_DESTROY_TIS]: free(({ tiss }) => tiss),
  [MLX5_CMD_OP_CREATE_TIR]: {
    input: mlx5_create_tir_in.size, output: HEAD, needs: 'initialised',
    run({ resources }, input, output) {
      const type = mlx5_create_tir_in.get(input, 'disp_type');
      if (type !== MLX5_TIRC_DISP_TYPE_DIRECT && type !== MLX5_TIRC_DISP_TYPE_INDIRECT) throw new Refusal('tir.type');
      resources.transportDomains.get(mlx5_create_tir_in.get(input, 'transport_domain'));
      const rqt = type === MLX5_TIRC_DISP_TYPE_DIRECT ? null : resources.rqts.get(mlx5_create_tir_in.get(input, 'indirect_table'));
      mlx5_cmd_out.set(output, 'number', resources.tirs.add(() => ({ rqt })));
      if (rqt !== null) rqt.users++;
    },
  },
  [MLX5_CMD_OP_DESTROY_TIR]: free(({ tirs }) => tirs, undefined, ({ rqt }) => {
    if (rqt !== null) rqt.users--;
  }),
  [MLX5_CMD_OP_CREATE_RQT]: {
    input: mlx5_rqt_in.size, output: HEAD, needs: 'initialised',
    run({ resources }, input, output) {
      const max = mlx5_rqt_in.get(input, 'rqt_max_size');
      const wrongType = mlx5_rqt_in.get(input, 'list_q_type') !== MLX5_RQTC_LIST_Q_TYPE_VIRTIO_NET_Q;
      if (wrongType || max > 1 << LOG_MAX.rqtSize) throw new Refusal('rqt.size');
      const rqt: Rqt = { max, queues: [], users: 0 };
      const queues = queuesOf(input, resources, max);
      mlx5_cmd_out.set(output, 'number', resources.rqts.add(() => rqt));
      fill(rqt, queues, resources);
    },
  },
  [MLX5_CMD_OP_MODIFY_RQT]: {
    input: mlx5_rqt_in.size, output: 8, needs: 'initialised',
    run({ resources }, input) {
      const rqt = resources.rqts.get(mlx5_cmd_in.get(input, 'number'));
      fill(rqt, queuesOf(input, resources, rqt.max), resources);
    },
  },
  [MLX5_CMD_OP_DESTROY_RQT]: {
    ...free(({ rqts }) => rqts),
    run({ resources }, input) {
      const number = mlx5_cmd_in.get(input, 'number');
      const rqt = resources.rqts.get(number);
      if (rqt.users > 0) throw new Refusal('object.busy');
      fill(rqt, [], resources);
      resources.rqts.remove(number);
    },
  },
};
