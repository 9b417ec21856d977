/** What the module exports to drivers of what a function offers. */
import * as uapi from '@vdpalab/uapi';
import { CoreDev } from './core-dev.ts';
import type { Shared } from './core-dev.ts';
import type { Mlx5CoreDev, Mlx5CoreSymbols } from './header.ts';
import { Db, fillPages, fragBufAlloc, fragBufFree } from './memory.ts';
import { create, createMkey, destroy, destroyMkey, modifyRqt } from './resources.ts';
import { modifyMac, modifyMtu, queryMac, queryMtu, queryVportState } from './vport.ts';

/** Their names; plain exports, which modules of any licence may link to. */
export const symbolNames = [
  'mlx5_cmd_exec', 'mlx5_core_create_mkey', 'mlx5_core_destroy_mkey', 'mlx5_core_alloc_pd', 'mlx5_core_dealloc_pd', 'mlx5_core_alloc_transport_domain',
  'mlx5_core_dealloc_transport_domain', 'mlx5_core_create_rqt', 'mlx5_core_modify_rqt', 'mlx5_core_destroy_rqt', 'mlx5_core_create_tir', 'mlx5_core_destroy_tir',
  'mlx5_core_create_tis', 'mlx5_core_destroy_tis', 'mlx5_core_create_cq', 'mlx5_core_destroy_cq', 'mlx5_comp_vectors_count', 'mlx5_vector2eqn', 'mlx5_get_uars_page',
  'mlx5_put_uars_page', 'mlx5_frag_buf_alloc_node', 'mlx5_frag_buf_free', 'mlx5_fill_page_frag_array', 'mlx5_db_alloc', 'mlx5_db_free', 'mlx5_notifier_register',
  'mlx5_notifier_unregister', 'mlx5_query_nic_vport_mac_address', 'mlx5_modify_nic_vport_mac_address', 'mlx5_query_nic_vport_mtu', 'mlx5_modify_nic_vport_mtu',
  'mlx5_query_vport_state', 'mlx5_mpfs_add_mac', 'mlx5_mpfs_del_mac', 'mlx5_get_flow_namespace', 'mlx5_create_auto_grouped_flow_table', 'mlx5_destroy_flow_table',
  'mlx5_add_flow_rules', 'mlx5_del_flow_rules', 'mlx5_fc_create', 'mlx5_fc_destroy', 'mlx5_fc_query', 'mlx5_core_leftovers',
] as const satisfies readonly (keyof Mlx5CoreSymbols)[];

/** A function of this module. */
function own(dev: Mlx5CoreDev): CoreDev {
  if (dev instanceof CoreDev) return dev;
  throw new Error(`${dev.device.name}: a function that is not of this module`);
}

/** The symbols. */
export function symbols(shared: Shared): Mlx5CoreSymbols {
  const creator = (opcode: number) => (dev: Mlx5CoreDev, input?: Uint8Array): Promise<number> => create(own(dev), opcode, input);
  const destroyer = (opcode: number) => (dev: Mlx5CoreDev, number: number): Promise<void> => destroy(own(dev), opcode, number);
  return {
    mlx5_cmd_exec: (dev, input, outlen) => own(dev).cmd.exec(input, outlen),
    mlx5_core_create_mkey: (dev, input) => createMkey(own(dev), input),
    mlx5_core_destroy_mkey: (dev, mkey) => destroyMkey(own(dev), mkey),
    mlx5_core_alloc_pd: creator(uapi.MLX5_CMD_OP_ALLOC_PD),
    mlx5_core_dealloc_pd: destroyer(uapi.MLX5_CMD_OP_DEALLOC_PD),
    mlx5_core_alloc_transport_domain: creator(uapi.MLX5_CMD_OP_ALLOC_TRANSPORT_DOMAIN),
    mlx5_core_dealloc_transport_domain: destroyer(uapi.MLX5_CMD_OP_DEALLOC_TRANSPORT_DOMAIN),
    mlx5_core_create_rqt: creator(uapi.MLX5_CMD_OP_CREATE_RQT),
    mlx5_core_modify_rqt: (dev, rqtn, input) => modifyRqt(own(dev), rqtn, input),
    mlx5_core_destroy_rqt: destroyer(uapi.MLX5_CMD_OP_DESTROY_RQT),
    mlx5_core_create_tir: creator(uapi.MLX5_CMD_OP_CREATE_TIR),
    mlx5_core_destroy_tir: destroyer(uapi.MLX5_CMD_OP_DESTROY_TIR),
    mlx5_core_create_tis: creator(uapi.MLX5_CMD_OP_CREATE_TIS),
    mlx5_core_destroy_tis: destroyer(uapi.MLX5_CMD_OP_DESTROY_TIS),
    mlx5_core_create_cq: (dev, cq, input) => own(dev).eqs.createCq(cq, input),
    mlx5_core_destroy_cq: (dev, cq) => own(dev).eqs.destroyCq(cq),
    mlx5_comp_vectors_count: (dev) => own(dev).eqs.vectors,
    mlx5_vector2eqn: (dev, vector) => own(dev).eqs.vector2eqn(vector),
    mlx5_get_uars_page: (dev) => own(dev).uars.get(),
    mlx5_put_uars_page: (dev, { index }) => own(dev).uars.put(index),
    mlx5_frag_buf_alloc_node: (dev, size) => fragBufAlloc(own(dev), size),
    mlx5_frag_buf_free: (dev, buf) => fragBufFree(own(dev), buf),
    mlx5_fill_page_frag_array: ({ mem }, input, at) => fillPages(mem, input, at),
    mlx5_db_alloc: (dev) => new Db(own(dev)),
    mlx5_db_free: (dev, db) => (db as Db).free(own(dev)), // mlx5_db_alloc made it
    mlx5_notifier_register: (dev, nb) => own(dev).eqs.register(nb),
    mlx5_notifier_unregister: (dev, nb) => own(dev).eqs.unregister(nb),
    mlx5_query_nic_vport_mac_address: (dev, vport) => queryMac(own(dev), vport),
    mlx5_modify_nic_vport_mac_address: (dev, vport, mac) => modifyMac(own(dev), vport, mac),
    mlx5_query_nic_vport_mtu: (dev) => queryMtu(own(dev)),
    mlx5_modify_nic_vport_mtu: (dev, mtu) => modifyMtu(own(dev), mtu),
    mlx5_query_vport_state: (dev, opMod, vport) => queryVportState(own(dev), opMod, vport),
    mlx5_mpfs_add_mac: (dev, mac) => own(dev).mpfs.add(mac),
    mlx5_mpfs_del_mac: (dev, mac) => own(dev).mpfs.del(mac),
    mlx5_get_flow_namespace: (dev) => own(dev).fs.namespace,
    mlx5_create_auto_grouped_flow_table: (ns, attr) => own(ns.dev).fs.createTable(attr),
    mlx5_destroy_flow_table: (ft) => own(ft.ns.dev).fs.destroyTable(ft),
    mlx5_add_flow_rules: (ft, spec, act, dest) => own(ft.ns.dev).fs.addRule(ft, spec, act, dest),
    mlx5_del_flow_rules: (rule) => own(rule.ft.ns.dev).fs.delRule(rule),
    mlx5_fc_create: (dev) => own(dev).fs.createCounter(),
    mlx5_fc_destroy: (dev, fc) => own(dev).fs.destroyCounter(fc),
    mlx5_fc_query: (dev, fc) => own(dev).fs.queryCounter(fc),
    mlx5_core_leftovers: () => [...shared.devs].flatMap((dev) => dev.leftovers().map((what) => `${dev.device.name}: ${what}`)),
  };
}
