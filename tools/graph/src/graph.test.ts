import { treeModule } from '@vdpalab/kmod';
import type { ModuleTree, TreeModule } from '@vdpalab/kmod';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cyclesText, diffText, impactText, symbolsText, unusedText, whyText } from './explain.ts';
import { moduleGraph, nodeOf } from './module-graph.ts';
import { cycles, diff, impact, symbols, unusedExports, why, withoutImplied } from './questions.ts';

const tree = (modules: readonly TreeModule[], builtin: ModuleTree['builtin'] = []): ModuleTree => ({ modules, builtin, order: modules.map((m) => m.path) });
const exp = (name: string, more: Partial<{ crc: number; gpl: boolean; namespace: string }> = {}) => ({ name, crc: 0, gpl: true, namespace: '', ...more });

/** A part of the vDPA world. */
const VDPA = tree([
  treeModule('kernel/vhost_iotlb.ko', { exports: [exp('vhost_iotlb_alloc'), exp('vhost_iotlb_free')] }),
  treeModule('kernel/vhost.ko', { exports: [exp('vhost_dev_init', { crc: 0xabc }), exp('vhost_dev_stop'), exp('vhost_dev_ioctl'), exp('vhost_unused', { namespace: 'VHOST' })], needs: ['vhost_iotlb_alloc'] }),
  treeModule('kernel/vdpa.ko', { exports: [exp('vdpa_register_driver'), exp('vdpa_alloc_device')], aliases: ['vdpa-core'] }),
  treeModule('kernel/vhost_vdpa.ko', { needs: ['vhost_dev_init', 'vdpa_register_driver', 'vhost_dev_stop', 'vhost_dev_ioctl', 'vhost_iotlb_free', 'mutex_lock'] }),
  treeModule('kernel/ifcvf.ko', { needs: ['vdpa_alloc_device'], aliases: ['pci:v1', 'pci:v2', 'pci:v3'] }),
  treeModule('kernel/tracer.ko', { needs: [{ name: 'vdpa_alloc_device', weak: true, crc: null }], softdeps: ['pre: nowhere post: vdpa-core vhost'] }),
], [{ path: 'kernel/sched.ko', name: 'sched', modinfo: [], exports: [exp('mutex_lock')] }]);

const graph = moduleGraph(VDPA);

describe('the graph of a tree', () => {
  it('has an edge per need with its symbols, weak ones and softdeps marked', () => {
    expect(graph.nodes.map((n) => n.name)).toEqual(['vhost_iotlb', 'vhost', 'vdpa', 'vhost_vdpa', 'ifcvf', 'tracer']);
    expect(graph.edges.map((e) => `${e.from} -${e.kind}-> ${e.to}: ${e.symbols.join(' ')}`)).toEqual([
      'vhost -hard-> vhost_iotlb: vhost_iotlb_alloc',
      'vhost_vdpa -hard-> vhost: vhost_dev_init vhost_dev_stop vhost_dev_ioctl',
      'vhost_vdpa -hard-> vdpa: vdpa_register_driver',
      'vhost_vdpa -hard-> vhost_iotlb: vhost_iotlb_free',
      'ifcvf -hard-> vdpa: vdpa_alloc_device',
      'tracer -weak-> vdpa: vdpa_alloc_device',
      'tracer -soft-> vdpa: ', 'tracer -soft-> vhost: ',
    ]);
  });

  it('shows built-in modules when asked', () => {
    const all = moduleGraph(VDPA, { builtin: true });
    expect(all.nodes.filter((n) => n.builtin).map((n) => n.name)).toEqual(['sched']);
    expect(all.edges.filter((e) => e.to === 'sched').map((e) => `${e.from} ${e.symbols.join()}`)).toEqual(['vhost_vdpa mutex_lock']);
  });

  it('finds modules by either spelling and suggests close names', () => {
    expect(nodeOf(graph, 'vhost-vdpa').name).toBe('vhost_vdpa');
    expect(() => nodeOf(graph, 'vhos')).toThrow('no module vhos in this tree; there is vhost_iotlb, vhost, vhost_vdpa');
    expect(() => nodeOf(graph, 'zzz')).toThrow('no module zzz in this tree');
  });
});

describe('why', () => {
  it('gives a shortest chain with witness symbols and says which edges have no way around', () => {
    expect(whyText('vhost_vdpa', 'vhost_iotlb', why(graph, 'vhost_vdpa', 'vhost_iotlb'))).toBe('vhost_vdpa needs vhost_iotlb: vhost_iotlb_free\n');
    expect(whyText('vhost_vdpa', 'vhost', why(graph, 'vhost_vdpa', 'vhost'))).toBe('vhost_vdpa needs vhost: vhost_dev_init, vhost_dev_stop (+1)  <- no way around\n');
    expect(why(graph, 'ifcvf', 'vhost')).toEqual({ path: null, bridges: [] });
    expect(whyText('ifcvf', 'vhost', why(graph, 'ifcvf', 'vhost'))).toBe('ifcvf does not need vhost\n');
    expect(whyText('a', 'a', why(graph, 'vdpa', 'vdpa'))).toBe('a is a\n');
    expect(whyText('tracer', 'vhost_iotlb', why(graph, 'tracer', 'vhost_iotlb', true))).toBe(
      'tracer asks for vhost (softdep)  <- no way around\nvhost needs vhost_iotlb: vhost_iotlb_alloc  <- no way around\n',
    );
    expect(whyText('tracer', 'vdpa', why(graph, 'tracer', 'vdpa'))).toBe('tracer needs vdpa: vdpa_alloc_device (weak)  <- no way around\n');
  });

  it('has a chain exactly for what is in the closure, and each of its edges is there', () => {
    fc.assert(fc.property(fc.array(fc.tuple(fc.nat(8), fc.nat(8)), { maxLength: 30 }), fc.nat(8), fc.nat(8), (pairs, from, to) => {
      const modules = Array.from({ length: 9 }, (_, i) => treeModule(`m${i}.ko`, { exports: [`s${i}`], needs: pairs.filter(([u, p]) => u === i && p !== i).map(([, p]) => `s${p}`) }));
      const g = moduleGraph(tree(modules));
      const reach = new Set([`m${from}`]);
      for (const at of reach) for (const e of g.edges) if (e.from === at) reach.add(e.to);
      const { path } = why(g, `m${from}`, `m${to}`);
      expect(path !== null).toBe(reach.has(`m${to}`));
      let at = `m${from}`;
      for (const e of path ?? []) {
        expect(g.edges).toContain(e);
        expect(e.from).toBe(at);
        at = e.to;
      }
      if (path !== null) expect(at).toBe(`m${to}`);
    }));
  });
});

describe('impact', () => {
  it('follows hard needs, stops at weak ones and softdeps, and names hardware that loses its driver', () => {
    expect(impactText('vdpa', impact(graph, 'vdpa'))).toBe([
      'vhost_vdpa breaks: vhost_vdpa needs vdpa: vdpa_register_driver',
      'ifcvf breaks: ifcvf needs vdpa: vdpa_alloc_device; loaded for pci:v1, pci:v2 (+1)',
      'tracer degrades: tracer needs vdpa: vdpa_alloc_device (weak)', '',
    ].join('\n'));
    expect(impact(graph, 'vhost_iotlb').map((i) => `${i.module} ${i.how} ${i.distance}`)).toEqual(['vhost breaks 1', 'vhost_vdpa breaks 1', 'tracer degrades 2']);
    expect(impactText('ifcvf', impact(graph, 'ifcvf'))).toBe('nothing needs ifcvf\n');
  });
});

describe('cycles', () => {
  const knot = moduleGraph(tree([
    treeModule('a.ko', { exports: ['a'], needs: ['b'] }), treeModule('b.ko', { exports: ['b'], needs: ['c', 'a'] }), treeModule('c.ko', { exports: ['c'], needs: ['a', 'leaf'] }),
    treeModule('self.ko', { exports: ['self'], needs: ['self'] }), treeModule('leaf.ko', { exports: ['leaf'] }), treeModule('user.ko', { needs: ['a'] }),
  ]));

  it('are knots with a shortest way around', () => {
    expect(cycles(knot).map((c) => c.modules)).toEqual([['a', 'b', 'c'], ['self']]);
    expect(cyclesText(cycles(knot))).toBe('3 modules: a -> b -> a\n1 modules: self -> self\n');
    expect(cyclesText(cycles(graph))).toBe('no cycles\n');
  });

  it('of softdeps are found on demand', () => {
    const g = moduleGraph(tree([treeModule('x.ko', { softdeps: ['pre: y'] }), treeModule('y.ko', { softdeps: ['post: x'] })]));
    expect([cycles(g).length, cycles(g, true).map((c) => c.modules)]).toEqual([0, [['x', 'y']]]);
  });

  it('are what reachability both ways says, in any graph', () => {
    fc.assert(fc.property(fc.array(fc.tuple(fc.nat(7), fc.nat(7)), { maxLength: 25 }), (pairs) => {
      const modules = Array.from({ length: 8 }, (_, i) => treeModule(`m${i}.ko`, { exports: [`s${i}`], needs: pairs.filter(([u]) => u === i).map(([, p]) => `s${p}`) }));
      const g = moduleGraph(tree(modules));
      const reach = (from: string): Set<string> => {
        const seen = new Set(g.edges.filter((e) => e.from === from).map((e) => e.to));
        for (const at of seen) for (const e of g.edges) if (e.from === at) seen.add(e.to);
        return seen;
      };
      const expected = g.nodes.filter((n) => reach(n.name).has(n.name)).map((n) => n.name).sort();
      expect(cycles(g).flatMap((c) => c.modules).sort()).toEqual(expected);
      for (const c of cycles(g)) for (const a of c.modules) for (const b of c.modules) expect(reach(a).has(b)).toBe(true);
    }));
  });
});

describe('symbols', () => {
  it('have an owner, traits and users', () => {
    expect(symbols(graph, 'vhost_dev_init')).toMatchObject([{ owner: 'vhost', users: ['vhost_vdpa'], crc: 0xabc }]);
    expect(symbolsText(symbols(graph, 'vhost_unused'))).toBe('vhost_unused: owner vhost, GPL only, namespace VHOST, crc 0x00000000\n  used by nobody\n');
    expect(symbols(graph, 'nowhere')).toEqual([]);
  });

  it('are found by shell patterns', () => {
    expect(symbols(graph, 'vhost_dev_*').map((s) => s.name)).toEqual(['vhost_dev_init', 'vhost_dev_ioctl', 'vhost_dev_stop']);
  });

  it('that nobody uses are listed', () => {
    expect(unusedExports(graph).map((s) => s.name)).toEqual(['vhost_unused']);
    expect(unusedText(unusedExports(graph))).toBe('vhost: vhost_unused\n');
    expect(unusedText([])).toBe('every exported symbol is needed\n');
  });
});

describe('a comparison of two trees', () => {
  it('lists modules, edges, symbol versions and aliases that differ', () => {
    const b = moduleGraph(tree([
      ...VDPA.modules.filter((m) => m.name !== 'ifcvf' && m.name !== 'vhost'),
      treeModule('kernel/vhost.ko', { exports: [exp('vhost_dev_init', { crc: 0xdef }), exp('vhost_dev_stop'), exp('vhost_dev_ioctl')], needs: ['vdpa_alloc_device'] }),
      treeModule('kernel/vduse.ko'),
    ]));
    const d = diff(graph, b);
    expect(d.added).toEqual(['vduse']);
    expect(d.removed).toEqual(['ifcvf']);
    expect(d.newEdges.map((e) => `${e.from} ${e.to}`)).toEqual(['vhost vdpa']);
    expect(d.lostEdges.map((e) => `${e.from} ${e.to}`)).toEqual(['vhost vhost_iotlb']);
    expect(d.changedSymbols).toEqual([{ name: 'vhost_dev_init', from: 0xabc, to: 0xdef }]);
    expect(d.lostAliases).toEqual(['pci:v1', 'pci:v2', 'pci:v3']);
    expect(diffText(d).split('\n')).toEqual([
      '+ vduse', '- ifcvf', '+ vhost needs vdpa: vdpa_alloc_device', '- vhost needs vhost_iotlb: vhost_iotlb_alloc',
      '~ vhost_dev_init: 0x00000abc -> 0x00000def', '- alias pci:v1', '- alias pci:v2', '- alias pci:v3', '',
    ]);
    expect(diffText(diff(graph, graph))).toBe('no difference\n');
    expect(diff(graph, graph)).toEqual({ added: [], removed: [], newEdges: [], lostEdges: [], changedSymbols: [], lostAliases: [] });
  });
});

it('edges that others imply can be left out', () => {
  expect(withoutImplied(graph).edges.map((e) => `${e.from} ${e.to}`)).toEqual([
    'vhost vhost_iotlb', 'vhost_vdpa vhost', 'vhost_vdpa vdpa', 'ifcvf vdpa', 'tracer vdpa', 'tracer vdpa', 'tracer vhost',
  ]);
});
