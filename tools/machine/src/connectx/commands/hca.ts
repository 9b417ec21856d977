/** Commands about a function as a whole. */
import {
  MLX5_CAP_GENERAL_2, MLX5_CMD_OP_DISABLE_HCA, MLX5_CMD_OP_ENABLE_HCA, MLX5_CMD_OP_INIT_HCA, MLX5_CMD_OP_QUERY_ADAPTER,
  MLX5_CMD_OP_QUERY_HCA_CAP, MLX5_CMD_OP_QUERY_ISSI, MLX5_CMD_OP_QUERY_PAGES, MLX5_CMD_OP_QUERY_SPECIAL_CONTEXTS,
  MLX5_CMD_OP_SET_HCA_CAP, MLX5_CMD_OP_SET_ISSI, MLX5_CMD_OP_TEARDOWN_HCA, MLX5_HCA_CAP_AT, MLX5_HCA_CAP_SIZE, mlx5_cmd_in, mlx5_function_in,
  mlx5_query_adapter_out, mlx5_query_issi_out, mlx5_query_pages_out, mlx5_query_special_contexts_out, mlx5_set_issi_in,
} from '@vdpalab/uapi';
import { capabilities } from '../capabilities.ts';
import { NULL_MKEY } from '../memory-keys.ts';
import { Refusal } from '../refusal.ts';
import type { Vhca } from '../vhca.ts';
import { HEAD } from './command.ts';
import type { Commands } from './command.ts';

/** The only interface there is, and its bit. */
const ISSI = 1;
const IEEE_VENDOR_ID = 0x2c9;
const BOARD = 'MT_0000000359';

/** Functions other than the caller are the manager's. @returns null for the caller itself */
function other(vhca: Vhca, input: Uint8Array): number | null {
  const functionId = mlx5_function_in.get(input, 'function_id');
  if (functionId === 0 || functionId === vhca.functionId) return null;
  if (vhca.subfunctions === null) throw new Refusal('opcode.manager-only');
  return functionId;
}

export const hcaCommands: Commands = {
  [MLX5_CMD_OP_ENABLE_HCA]: {
    input: HEAD, output: 8, needs: 'nothing',
    run(vhca, input) {
      const functionId = other(vhca, input);
      if (functionId !== null) vhca.subfunctions!.enable(functionId); // `other` has checked
      else if (vhca.stage !== 'disabled') throw new Refusal('hca.enabled');
      else vhca.setStage('enabled');
    },
  },
  [MLX5_CMD_OP_DISABLE_HCA]: {
    input: HEAD, output: 8, needs: 'enabled',
    run(vhca, input) {
      const functionId = other(vhca, input);
      if (functionId !== null) vhca.subfunctions!.disable(functionId); // `other` has checked
      else vhca.setStage('disabled');
    },
  },
  [MLX5_CMD_OP_INIT_HCA]: {
    input: HEAD, output: 8, needs: 'enabled',
    run(vhca) {
      if (vhca.stage === 'initialised') throw new Refusal('hca.initialised');
      vhca.setStage('initialised');
      vhca.frames.start();
    },
  },
  [MLX5_CMD_OP_TEARDOWN_HCA]: { input: HEAD, output: 8, needs: 'initialised', run: (vhca) => vhca.setStage('enabled') },
  [MLX5_CMD_OP_QUERY_ISSI]: {
    input: HEAD, output: mlx5_query_issi_out.size, needs: 'enabled',
    run({ issi }, _, output) {
      mlx5_query_issi_out.set(output, 'current_issi', issi);
      mlx5_query_issi_out.set(output, 'supported_issi_dw0', 1 << ISSI);
    },
  },
  [MLX5_CMD_OP_SET_ISSI]: {
    input: HEAD, output: 8, needs: 'enabled',
    run(vhca, input) {
      if (mlx5_set_issi_in.get(input, 'current_issi') !== ISSI) throw new Refusal('hca.issi');
      vhca.issi = ISSI;
    },
  },
  [MLX5_CMD_OP_QUERY_PAGES]: {
    input: HEAD, output: HEAD, needs: 'enabled',
    run: (vhca, _, output) => mlx5_query_pages_out.set(output, 'function_id', vhca.functionId),
  },
  [MLX5_CMD_OP_QUERY_HCA_CAP]: {
    input: HEAD, output: MLX5_HCA_CAP_AT + MLX5_HCA_CAP_SIZE, needs: 'enabled',
    run(vhca, input, output) {
      const kind = mlx5_cmd_in.get(input, 'op_mod') >>> 1;
      if (kind > MLX5_CAP_GENERAL_2) throw new Refusal('hca.capability');
      const functionId = other(vhca, input);
      const about = functionId === null ? vhca : vhca.subfunctions!.slot(functionId).vhca; // `other` has checked
      output.set(capabilities(about, kind), MLX5_HCA_CAP_AT);
    },
  },
  [MLX5_CMD_OP_SET_HCA_CAP]: { input: HEAD, output: 8, needs: 'enabled', run: (vhca, input) => void other(vhca, input) as undefined },
  [MLX5_CMD_OP_QUERY_ADAPTER]: {
    input: HEAD, output: mlx5_query_adapter_out.size, needs: 'enabled',
    run(_, __, output) {
      mlx5_query_adapter_out.set(output, 'ieee_vendor_id', IEEE_VENDOR_ID);
      output.set(Uint8Array.from(BOARD, (c) => c.charCodeAt(0)), mlx5_query_adapter_out.offsetof('vsd_contd_psid'));
    },
  },
  [MLX5_CMD_OP_QUERY_SPECIAL_CONTEXTS]: {
    input: HEAD, output: mlx5_query_special_contexts_out.size, needs: 'enabled',
    run: (_, __, output) => mlx5_query_special_contexts_out.set(output, 'null_mkey', NULL_MKEY),
  },
};
