/** What a function's port on the switch is: address, MTU, link. Mirrors `vport.c` (Linux 6.1). */
import * as uapi from '@vdpalab/uapi';
import type { CoreDev } from './core-dev.ts';

const { mlx5_nic_vport_context: context, mlx5_modify_nic_vport_context_in: modifyIn } = uapi;

/** A vport as commands name it. @param vport 0 for one's own */
function which(vport: number): { other_vport: number; vport_number: number } {
  return { other_vport: vport === 0 ? 0 : 1, vport_number: vport };
}

async function query(dev: CoreDev, vport: number): Promise<Uint8Array> {
  const input = uapi.mlx5_vport_in.make({ opcode: uapi.MLX5_CMD_OP_QUERY_NIC_VPORT_CONTEXT, ...which(vport) });
  const out = await dev.cmd.exec(input, uapi.MLX5_QUERY_NIC_VPORT_CONTEXT_AT + context.size);
  return out.subarray(uapi.MLX5_QUERY_NIC_VPORT_CONTEXT_AT);
}

/** @param select which fields of `values` count */
async function modify(
  dev: CoreDev, vport: number, select: 'select_mtu' | 'select_permanent_address', values: Parameters<typeof context.make>[0],
): Promise<void> {
  const input = modifyIn.make({ opcode: uapi.MLX5_CMD_OP_MODIFY_NIC_VPORT_CONTEXT, ...which(vport), [select]: 1 });
  input.set(context.make(values), uapi.MLX5_MODIFY_NIC_VPORT_CONTEXT_AT);
  await dev.cmd.exec(input, uapi.mlx5_cmd_out.size);
}

/** @returns 6 bytes @see `mlx5_query_nic_vport_mac_address` */
export async function queryMac(dev: CoreDev, vport: number): Promise<Uint8Array> {
  const found = await query(dev, vport);
  const [high, low] = [context.get(found, 'permanent_mac_47_32'), context.get(found, 'permanent_mac_31_0')];
  return Uint8Array.of(high >>> 8, high, low >>> 24, low >>> 16, low >>> 8, low);
}

/** @see `mlx5_modify_nic_vport_mac_address` */
export async function modifyMac(dev: CoreDev, vport: number, mac: Uint8Array): Promise<void> {
  const { high, low } = splitMac(mac);
  await modify(dev, vport, 'select_permanent_address', { permanent_mac_47_32: high, permanent_mac_31_0: low });
}

/** @see `mlx5_query_nic_vport_mtu` */
export async function queryMtu(dev: CoreDev): Promise<number> {
  return context.get(await query(dev, 0), 'mtu');
}

/** @see `mlx5_modify_nic_vport_mtu` */
export async function modifyMtu(dev: CoreDev, mtu: number): Promise<void> {
  await modify(dev, 0, 'select_mtu', { mtu });
}

/** @returns VPORT_STATE_* @see `mlx5_query_vport_state` */
export async function queryVportState(dev: CoreDev, opMod: number, vport: number): Promise<number> {
  const input = uapi.mlx5_vport_in.make({ opcode: uapi.MLX5_CMD_OP_QUERY_VPORT_STATE, op_mod: opMod, ...which(vport) });
  return uapi.mlx5_query_vport_state_out.get(await dev.cmd.exec(input, uapi.mlx5_query_vport_state_out.size), 'state');
}

/** An address as commands carry it: two bytes, four bytes. */
export function splitMac(mac: Uint8Array): { high: number; low: number } {
  return { high: (mac[0]! << 8) | mac[1]!, low: ((mac[2]! << 24) | (mac[3]! << 16) | (mac[4]! << 8) | mac[5]!) >>> 0 };
}
