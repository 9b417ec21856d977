/** Commands about vports and the addresses the device takes from the wire. */
import {
  MLX5_CMD_OP_DELETE_L2_TABLE_ENTRY, MLX5_CMD_OP_MODIFY_NIC_VPORT_CONTEXT, MLX5_CMD_OP_MODIFY_VPORT_STATE,
  MLX5_CMD_OP_QUERY_NIC_VPORT_CONTEXT, MLX5_CMD_OP_QUERY_VPORT_STATE, MLX5_CMD_OP_SET_L2_TABLE_ENTRY, MLX5_EVENT_TYPE_NIC_VPORT_CHANGE,
  MLX5_MODIFY_NIC_VPORT_CONTEXT_AT, MLX5_QUERY_NIC_VPORT_CONTEXT_AT, VPORT_STATE_DOWN, VPORT_STATE_UP, mlx5_delete_l2_table_entry_in,
  mlx5_eqe_vport_change, mlx5_modify_nic_vport_context_in, mlx5_modify_vport_state_in, mlx5_nic_vport_context, mlx5_query_vport_state_out,
  mlx5_set_l2_table_entry_in, mlx5_vport_in,
} from '@vdpalab/uapi';
import { Refusal } from '../refusal.ts';
import { HARD_MTU } from '../vhca.ts';
import type { Vhca } from '../vhca.ts';
import { HEAD } from './command.ts';
import type { Commands } from './command.ts';

const MTU_MIN = 68;

/** The function a command is about: the caller, or with `other_vport` any of the manager's. @throws Refusal */
function vportOf(vhca: Vhca, input: Uint8Array): Vhca {
  const number = mlx5_vport_in.get(input, 'vport_number');
  if (mlx5_vport_in.get(input, 'other_vport') === 0 || number === vhca.functionId) return vhca;
  if (vhca.subfunctions === null) throw new Refusal('vport.number');
  return vhca.subfunctions.slot(number).vhca;
}

function macOf(high: number, low: number): Uint8Array {
  return Uint8Array.of(high >>> 8, high, low >>> 24, low >>> 16, low >>> 8, low);
}

export const vportCommands: Commands = {
  [MLX5_CMD_OP_QUERY_NIC_VPORT_CONTEXT]: {
    input: HEAD, output: MLX5_QUERY_NIC_VPORT_CONTEXT_AT + mlx5_nic_vport_context.size, needs: 'enabled',
    run(vhca, input, output) {
      const { mac, mtu } = vportOf(vhca, input);
      mlx5_nic_vport_context.set(output, 'mtu', mtu, MLX5_QUERY_NIC_VPORT_CONTEXT_AT);
      output.set(mac, MLX5_QUERY_NIC_VPORT_CONTEXT_AT + mlx5_nic_vport_context.offsetof('permanent_mac_47_32'));
    },
  },
  [MLX5_CMD_OP_MODIFY_NIC_VPORT_CONTEXT]: {
    input: mlx5_modify_nic_vport_context_in.size, output: 8, needs: 'enabled',
    run(vhca, input) {
      const vport = vportOf(vhca, input);
      const at = MLX5_MODIFY_NIC_VPORT_CONTEXT_AT;
      const mtu = mlx5_nic_vport_context.get(input, 'mtu', at);
      const mac = macOf(mlx5_nic_vport_context.get(input, 'permanent_mac_47_32', at), mlx5_nic_vport_context.get(input, 'permanent_mac_31_0', at));
      const setsMtu = mlx5_modify_nic_vport_context_in.get(input, 'select_mtu') === 1;
      const setsMac = mlx5_modify_nic_vport_context_in.get(input, 'select_permanent_address') === 1;
      if (setsMtu && (mtu < MTU_MIN + HARD_MTU || mtu > vhca.chip.config.mtu + HARD_MTU)) throw new Refusal('vport.mtu');
      if (setsMac && (mac[0]! & 1) !== 0) throw new Refusal('vport.address');
      if (setsMtu) vport.mtu = mtu;
      if (setsMac) vport.mac = mac;
      if (vport !== vhca) vport.post(MLX5_EVENT_TYPE_NIC_VPORT_CHANGE, 0, mlx5_eqe_vport_change.make({ vport_num: vport.functionId }));
    },
  },
  [MLX5_CMD_OP_QUERY_VPORT_STATE]: {
    input: HEAD, output: HEAD, needs: 'enabled',
    run(vhca, input, output) {
      const { adminDown, linkUp } = vportOf(vhca, input);
      mlx5_query_vport_state_out.set(output, 'admin_state', adminDown ? VPORT_STATE_DOWN : VPORT_STATE_UP);
      mlx5_query_vport_state_out.set(output, 'state', linkUp ? VPORT_STATE_UP : VPORT_STATE_DOWN);
    },
  },
  [MLX5_CMD_OP_MODIFY_VPORT_STATE]: {
    input: HEAD, output: 8, needs: 'enabled',
    run(vhca, input) {
      const vport = vportOf(vhca, input);
      const before = vport.linkUp;
      vport.adminDown = mlx5_modify_vport_state_in.get(input, 'admin_state') === VPORT_STATE_DOWN;
      if (vport.linkUp !== before) vport.linkChanged();
    },
  },
  [MLX5_CMD_OP_SET_L2_TABLE_ENTRY]: {
    input: mlx5_set_l2_table_entry_in.size, output: 8, needs: 'initialised', manager: true,
    run({ chip }, input) {
      const mac = macOf(mlx5_set_l2_table_entry_in.get(input, 'mac_addr_47_32'), mlx5_set_l2_table_entry_in.get(input, 'mac_addr_31_0'));
      return chip.l2.set(mlx5_set_l2_table_entry_in.get(input, 'table_index'), mac);
    },
  },
  [MLX5_CMD_OP_DELETE_L2_TABLE_ENTRY]: {
    input: mlx5_delete_l2_table_entry_in.size, output: 8, needs: 'initialised', manager: true,
    run: ({ chip }, input) => chip.l2.delete(mlx5_delete_l2_table_entry_in.get(input, 'table_index')),
  },
};
