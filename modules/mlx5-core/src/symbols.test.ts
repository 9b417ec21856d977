import { errnoOf } from '@vdpalab/testing';
import * as uapi from '@vdpalab/uapi';
import { describe, expect, it } from 'vitest';
import type { Mlx5FlowSpec } from './header.ts';
import { BDF, bootMlx5 } from './testing/bench.ts';
import type { Bench } from './testing/bench.ts';

const mac = (last: number): Uint8Array => Uint8Array.of(0x02, 0, 0, 0, 0, last);

/** Frames to one address. */
function spec(last: number, multicast = false): Mlx5FlowSpec {
  const at = uapi.mlx5_fte_match_outer.offsetof('dmac_47_16');
  const [match_criteria, match_value] = [new Uint8Array(uapi.mlx5_fte_match_outer.size), new Uint8Array(uapi.mlx5_fte_match_outer.size)];
  match_criteria.set(multicast ? Uint8Array.of(1, 0, 0, 0, 0, 0) : new Uint8Array(6).fill(0xff), at);
  match_value.set(multicast ? Uint8Array.of(1, 0, 0, 0, 0, 0) : mac(last), at);
  return { match_criteria_enable: uapi.MLX5_MATCH_OUTER_HEADERS, match_criteria, match_value };
}

/** A subfunction, as the driver of its vnet part has it. */
async function stage(): Promise<{ b: Bench; dev: ReturnType<Bench['dev']>; vhca: Bench['fn']['vhca']; run: Bench['run'] }> {
  const b = await bootMlx5();
  await b.switchdev();
  await b.subfunction(1);
  return { b, dev: b.dev('mlx5_core.sf.1'), vhca: b.fn.subfunctions.slots[0]!.vhca, run: b.run };
}

describe('steering', () => {
  it('has one table that frames enter, and groups that come and go with the rules that match alike', async () => {
    const { b: { k }, dev, vhca, run } = await stage();
    await run(async () => {
      const td = await k.mlx5_core_alloc_transport_domain(dev);
      const tir = await k.mlx5_core_create_tir(dev, uapi.mlx5_create_tir_in.make({ transport_domain: td }));
      const ns = k.mlx5_get_flow_namespace(dev, 'MLX5_FLOW_NAMESPACE_BYPASS')!;
      const ft = await k.mlx5_create_auto_grouped_flow_table(ns, { prio: 0, max_fte: 8, autogroup: { max_num_groups: 3 } });
      const table = vhca.resources.flowTables.get(ft.id);
      expect([vhca.resources.flowRoot, table.logSize]).toEqual([table, 3]);
      const counter = await k.mlx5_fc_create(dev);
      const act = { action: uapi.MLX5_FLOW_CONTEXT_ACTION_FWD_DEST };
      const one = await k.mlx5_add_flow_rules(ft, spec(1), { action: act.action | uapi.MLX5_FLOW_CONTEXT_ACTION_COUNT }, [{ type: 'tir', tir_num: tir }, { type: 'counter', counter_id: counter.id }]);
      const two = await k.mlx5_add_flow_rules(ft, spec(2), act, [{ type: 'tir', tir_num: tir }]);
      const many = await k.mlx5_add_flow_rules(ft, spec(0, true), act, [{ type: 'tir', tir_num: tir }]);
      expect([[...table.groups.values()].map(({ first, last }) => [first, last]), table.rules.map(({ index }) => index)]).toEqual([[[0, 1], [2, 3]], [0, 1, 2]]);
      expect(table.match(Uint8Array.of(...mac(2), ...new Uint8Array(8)), 0)).toMatchObject({ index: 1, tir });
      expect(await k.mlx5_fc_query(dev, counter)).toEqual({ packets: 0n, bytes: 0n });
      await expect(k.mlx5_destroy_flow_table(ft)).rejects.toThrow('has rules');
      await k.mlx5_del_flow_rules(one);
      expect((await k.mlx5_add_flow_rules(ft, spec(3), act, [{ type: 'tir', tir_num: tir }])).flow_index).toBe(0);
      for (const rule of [two, many, { ...one }]) await k.mlx5_del_flow_rules(rule);
      expect([table.groups.size, table.rules]).toEqual([0, []]);
      await k.mlx5_destroy_flow_table(ft);
      await k.mlx5_fc_destroy(dev, counter);
      await k.mlx5_core_destroy_tir(dev, tir);
      await k.mlx5_core_dealloc_transport_domain(dev, td);
      expect([vhca.resources.flowRoot, vhca.resources.flowTables.size, k.mlx5_core_leftovers().filter((line) => line.startsWith('mlx5_core.sf'))]).toEqual([null, 0, []]);
    });
  });

  it('is full at its limit, and keeps nothing of a rule that is refused', async () => {
    const { b: { k }, dev, vhca, run } = await stage();
    await run(async () => {
      const ns = k.mlx5_get_flow_namespace(dev, 'MLX5_FLOW_NAMESPACE_BYPASS')!;
      const ft = await k.mlx5_create_auto_grouped_flow_table(ns, { prio: 0, max_fte: 2, autogroup: { max_num_groups: 1 } });
      const drop = { action: uapi.MLX5_FLOW_CONTEXT_ACTION_DROP };
      expect(await errnoOf(() => k.mlx5_add_flow_rules(ft, spec(1), { action: uapi.MLX5_FLOW_CONTEXT_ACTION_FWD_DEST }, [{ type: 'tir', tir_num: 99 }]))).toBe('EINVAL');
      expect(vhca.resources.flowTables.get(ft.id).groups.size).toBe(0);
      const rules = [await k.mlx5_add_flow_rules(ft, spec(1), drop, []), await k.mlx5_add_flow_rules(ft, spec(2), drop, [])];
      expect(await errnoOf(() => k.mlx5_add_flow_rules(ft, spec(3), drop, []))).toBe('ENOSPC');
      for (const rule of rules) await k.mlx5_del_flow_rules(rule);
      await k.mlx5_destroy_flow_table(ft);
    });
  });

  it('enters the table of lowest priority, whichever came first', async () => {
    const { b: { k }, dev, vhca, run } = await stage();
    await run(async () => {
      const ns = k.mlx5_get_flow_namespace(dev, 'MLX5_FLOW_NAMESPACE_BYPASS')!;
      const make = (prio: number) => k.mlx5_create_auto_grouped_flow_table(ns, { prio, max_fte: 2, autogroup: { max_num_groups: 1 } });
      const root = (): number => [...vhca.resources.flowTables.values()].indexOf(vhca.resources.flowRoot!);
      const [high, low] = [await make(5), await make(1)];
      expect(root()).toBe(1);
      await k.mlx5_destroy_flow_table(low);
      expect(root()).toBe(0);
      await k.mlx5_destroy_flow_table(high);
      expect(vhca.resources.flowRoot).toBeNull();
    });
  });
});

describe('the L2 table', () => {
  it('is the physical function\'s: an address is in it once, and it is full at its limit', async () => {
    const b = await bootMlx5();
    const { k, fn } = b;
    await b.run(async () => {
      const pf = b.dev();
      await k.mlx5_mpfs_add_mac(pf, mac(1));
      expect([await errnoOf(() => k.mlx5_mpfs_add_mac(pf, mac(1))), await errnoOf(() => k.mlx5_mpfs_del_mac(pf, mac(2))), fn.l2.has(mac(1), 0)]).toEqual(['EEXIST', 'ENOENT', true]);
      expect(k.mlx5_core_leftovers()).toEqual([`${BDF}: L2 address 2:0:0:0:0:1 (decimal)`]);
      for (let n = 2; n <= 128; n++) await k.mlx5_mpfs_add_mac(pf, mac(n));
      expect(await errnoOf(() => k.mlx5_mpfs_add_mac(pf, mac(200)))).toBe('ENOSPC');
      for (let n = 1; n <= 128; n++) await k.mlx5_mpfs_del_mac(pf, mac(n));
      expect(fn.l2.size).toBe(0);
    });
  });
});

describe('objects', () => {
  it('of every kind come by a command and go by another', async () => {
    const { b: { k }, dev, vhca, run } = await stage();
    const before = vhca.resources.size;
    await run(async () => {
      const [pd, td] = [await k.mlx5_core_alloc_pd(dev), await k.mlx5_core_alloc_transport_domain(dev)];
      const tis = await k.mlx5_core_create_tis(dev, uapi.mlx5_create_tis_in.make({ transport_domain: td }));
      const mkey = await k.mlx5_core_create_mkey(dev, uapi.mlx5_create_mkey_in.make({ access_mode_1_0: uapi.MLX5_MKC_ACCESS_MODE_PA, length64: 1, lr: 1, lw: 1, pd, mkey_7_0: 0x42 }));
      expect([mkey & 0xff, vhca.resources.size]).toEqual([0x42, before + 3]);
      await k.mlx5_core_destroy_mkey(dev, mkey);
      expect(await errnoOf(() => k.mlx5_core_destroy_mkey(dev, mkey))).toBe('EINVAL');
      await k.mlx5_core_destroy_tis(dev, tis);
      await k.mlx5_core_dealloc_transport_domain(dev, td);
      await k.mlx5_core_dealloc_pd(dev, pd);
    });
    expect(vhca.resources.size).toBe(before);
  });

  it('completions reach the queue that the event names, and not one that is gone', async () => {
    const { b, dev, vhca, run } = await stage();
    const { k } = b;
    const heard: string[] = [];
    const cqs = await run(async () => {
      expect([k.mlx5_comp_vectors_count(dev), await errnoOf(async () => k.mlx5_vector2eqn(dev, 1))]).toEqual([1, 'ENOENT']);
      const eqn = k.mlx5_vector2eqn(dev, 0);
      const make = (name: string) => k.mlx5_core_create_cq(dev, { eqn, comp: (): undefined => void heard.push(name) }, uapi.mlx5_create_cq_in.make({ c_eqn: eqn }));
      return [await make('a'), await make('b')];
    });
    const fire = async (cqn: number): Promise<void> => {
      vhca.resources.cqs.get(1).post(uapi.MLX5_EVENT_TYPE_COMP, 0, uapi.mlx5_eqe_comp.make({ cqn }));
      await b.settle();
    };
    for (const { cqn } of [cqs[1]!, cqs[0]!]) await fire(cqn);
    await run(() => k.mlx5_core_destroy_cq(dev, cqs[1]!));
    await fire(cqs[1]!.cqn);
    expect(heard).toEqual(['b', 'a']);
    expect(k.mlx5_core_leftovers()).toContain(`mlx5_core.sf.1: completion queue ${cqs[0]!.cqn}`);
    await run(() => k.mlx5_core_destroy_cq(dev, cqs[0]!));
  });

  it('events of the port reach who asked for them, on every function, until they do not ask any more', async () => {
    const { b, dev } = await stage();
    const heard: string[] = [];
    const nb = (of: string) => (event: number, eqe: Uint8Array): undefined => void heard.push(`${of} ${event} ${uapi.mlx5_eqe.get(eqe, 'sub_type')}`);
    const [pf, sf] = [nb('pf'), nb('sf')];
    b.k.mlx5_notifier_register(b.dev(), pf);
    b.k.mlx5_notifier_register(dev, sf);
    b.fn.setLink(false);
    await b.settle();
    b.k.mlx5_notifier_unregister(b.dev(), pf);
    b.fn.setLink(true);
    await b.settle();
    expect(heard.toSorted()).toEqual(['pf 9 1', 'sf 9 1', 'sf 9 1']); // no network is plugged in: the link stays down
    b.k.mlx5_notifier_unregister(dev, sf);
    b.k.mlx5_notifier_unregister(dev, sf);
  });

  it('doorbell pages are shared; queues and records of doorbells lie in memory that the device reaches', async () => {
    const { b: { k }, dev, vhca, run } = await stage();
    await run(async () => {
      const [one, two] = [await k.mlx5_get_uars_page(dev), await k.mlx5_get_uars_page(dev)];
      expect([one.index, vhca.resources.uars.size, one.map.pa - dev.bar_addr]).toEqual([two.index, 1, 4096 * one.index]);
      for (const page of [one, two]) await k.mlx5_put_uars_page(dev, page);
    });
    const before = k.dma_mappings(dev.pdev.dev).length;
    const buf = k.mlx5_frag_buf_alloc_node(dev, 9000);
    const input = new Uint8Array(40);
    k.mlx5_fill_page_frag_array(buf, input, 16);
    expect([buf.npages, uapi.be32At(input, 20), uapi.be32At(input, 28) - uapi.be32At(input, 20)]).toEqual([3, buf.mem.dma % 2 ** 32, 4096]);
    const db = k.mlx5_db_alloc(dev);
    expect([db.db.length, db.dma % 8]).toEqual([8, 0]);
    k.mlx5_db_free(dev, db);
    k.mlx5_frag_buf_free(dev, buf);
    expect(k.dma_mappings(dev.pdev.dev)).toHaveLength(before);
  });

  it('the port\'s address, MTU and link can be read and set', async () => {
    const { b: { k }, dev, run } = await stage();
    await run(async () => {
      await k.mlx5_modify_nic_vport_mac_address(dev, 0, mac(9));
      await k.mlx5_modify_nic_vport_mtu(dev, 3022);
      expect([[...await k.mlx5_query_nic_vport_mac_address(dev, 0)], await k.mlx5_query_nic_vport_mtu(dev)]).toEqual([[...mac(9)], 3022]);
      expect(await errnoOf(() => k.mlx5_modify_nic_vport_mtu(dev, 20_000))).toBe('EINVAL');
      expect(await k.mlx5_query_vport_state(dev, 0, 0)).toBe(uapi.VPORT_STATE_DOWN);
    });
  });

  it('a function of somebody else is refused', async () => {
    const { b: { k, run }, dev } = await stage();
    await expect(run(() => k.mlx5_core_alloc_pd({ ...dev, vhca_id: 1 }))).rejects.toThrow('not of this module');
  });
});
