import { covers } from '@vdpalab/testing';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { analyze, cycleErrors, moduleOrder, witnesses } from './depmod.ts';
import { depmod, weakdepText } from './depmod-files.ts';
import { hashOrder, sysfsOrder } from './hash.ts';
import { recorded, recordedLines, recordedTree } from './recorded.ts';
import { treeModule } from './tree.ts';
import type { ModuleTree, TreeModule } from './tree.ts';

const tree = (modules: readonly TreeModule[], order: readonly string[] | null = null): ModuleTree => ({ modules, builtin: [], order });

describe('the recorded tree', () => {
  it('gives modules.dep as depmod wrote it: order of modules and of dependencies', () => {
    covers('2.14.23');
    const { texts } = depmod(recordedTree());
    const known = new Set(recordedLines('modules.dep').map((line) => line.split(':')[0]));
    const lines = (texts?.['modules.dep'] ?? '').split('\n').filter((line) => known.has(line.split(':')[0]));
    // These reach into modules of which nothing but the path was recorded.
    const partial = /vhost_net|vhost_scsi|vhost_vsock|virtio_scsi|virtio_crypto|virtio_net|vmw_vsock/;
    expect(lines.filter((l) => !partial.test(l))).toEqual(recordedLines('modules.dep').filter((l) => !partial.test(l)));
    expect(lines.map((l) => l.split(':')[0])).toEqual(recordedLines('modules.dep').map((l) => l.split(':')[0]));
  });

  it('gives modules.symbols in the order of depmod\'s hash table', () => {
    covers('2.14.23');
    const lines = recordedLines('modules.symbols');
    expect(hashOrder([...lines].sort(), (line) => /symbol:(\S+)/.exec(line)?.[1] ?? '', 2048)).toEqual(lines);
    const written = (depmod(recordedTree()).texts?.['modules.symbols'] ?? '').split('\n');
    expect(written[0]).toBe('# Aliases for symbols, used by symbol_request().');
    expect(written.filter((line) => lines.includes(line))).toEqual(lines);
  });

  it('gives modules.alias, modules.softdep and modules.devname', () => {
    covers('2.14.23');
    const { texts } = depmod(recordedTree());
    expect(texts?.['modules.alias']).toBe(recorded('modules.alias'));
    const partial = /ext4|jbd2|crc_t10dif/; // known by name only
    const softdeps = (text: string | undefined): string[] => (text ?? '').split('\n').filter((l) => !partial.test(l));
    expect(softdeps(texts?.['modules.softdep'])).toEqual(softdeps(recorded('modules.softdep')));
    expect(texts?.['modules.devname']).toBe([
      '# Device nodes to trigger on-demand module loading.', 'vfio vfio/vfio c10:196', 'vhost_net vhost-net c10:238', 'vhost_vsock vhost-vsock c10:241', '',
    ].join('\n'));
  });
});

describe('module order', () => {
  it('puts what modules.order lists first, compressed files included, of equal lines the later', () => {
    const modules = ['kernel/a.ko', 'kernel/b.ko.xz', 'kernel/c.ko'].map((p) => treeModule(p));
    expect(moduleOrder(tree(modules, ['kernel/c.ko', 'kernel/b.ko', 'kernel/c.ko', 'kernel/x.ko'])).map((m) => m.name).slice(0, 2)).toEqual(['b', 'c']);
  });

  it('keeps one module per name, the first found', () => {
    expect(moduleOrder(tree([treeModule('updates/a.ko'), treeModule('kernel/a.ko')])).map((m) => m.path)).toEqual(['updates/a.ko']);
  });
});

describe('dependencies', () => {
  it('come from the owners of needed symbols, weak ones too, of two exporters the later', () => {
    const graph = analyze(tree([
      treeModule('a.ko', { needs: ['x', { name: 'w', weak: true, crc: null }, '.x', 'nowhere', { name: 'gone', weak: true, crc: null }] }),
      treeModule('p1.ko', { exports: ['x'] }), treeModule('p2.ko', { exports: ['x', 'w'] }),
    ], ['p1.ko', 'p2.ko', 'a.ko']));
    expect(graph.nodes.map((n) => `${n.module.name}: ${n.direct.map((d) => d.module.name).join(' ')}`)).toEqual(['p1: ', 'p2: ', 'a: p2']);
    expect(graph.issues.map((i) => `${i.kind} ${i.symbol}`)).toEqual(['unknown nowhere']);
    const [, p2, a] = graph.nodes;
    expect(witnesses(graph, a!.module, p2!.module)).toEqual(['x', 'w']);
  });

  it('say where a CRC differs', () => {
    const crc = (n: number) => ({ name: 'x', crc: n, gpl: false, namespace: '' });
    const graph = analyze(tree([
      treeModule('p.ko', { exports: [crc(1)] }), treeModule('a.ko', { needs: [{ name: 'x', weak: false, crc: 2 }] }),
      treeModule('b.ko', { needs: [{ name: 'x', weak: false, crc: 1 }] }),
    ]));
    expect(graph.issues.map((i) => `${i.kind} ${i.module.name} ${i.symbol}`)).toEqual(['version a x']);
  });

  it('in a cycle are reported and nothing is written', () => {
    covers('2.14.23', '2.14.19');
    const loop = tree([
      treeModule('mod-loop-a.ko', { exports: ['a'], needs: ['b'] }), treeModule('mod-loop-b.ko', { exports: ['b'], needs: ['c'] }),
      treeModule('mod-loop-c.ko', { exports: ['c'], needs: ['a', 'leaf'] }), treeModule('leaf.ko', { exports: ['leaf'] }),
      treeModule('user.ko', { needs: ['a'] }),
    ], ['mod-loop-a.ko', 'mod-loop-b.ko', 'mod-loop-c.ko']);
    const result = depmod(loop);
    expect(result.texts).toBeNull();
    expect(cycleErrors(result.graph.cycles)).toEqual([
      'ERROR: Cycle detected: mod_loop_a -> mod_loop_b -> mod_loop_c -> mod_loop_a', 'ERROR: Found 3 modules in dependency cycles!',
    ]);
    const self = depmod(tree([treeModule('s.ko', { exports: ['s'], needs: ['s'] })]));
    expect(cycleErrors(self.graph.cycles)).toEqual(['ERROR: Cycle detected: s -> s', 'ERROR: Found 1 modules in dependency cycles!']);
  });

  it('are a full closure in which every user stands before what it uses', () => {
    const edges = fc.array(fc.tuple(fc.nat(14), fc.nat(14)), { maxLength: 60 });
    fc.assert(fc.property(edges, (pairs) => {
      const down = pairs.filter(([u, p]) => u < p); // a DAG: needs point to higher numbers
      const modules = Array.from({ length: 15 }, (_, i) => treeModule(`m${i}.ko`, {
        exports: [`s${i}`], needs: down.filter(([u]) => u === i).map(([, p]) => `s${p}`),
      }));
      const graph = analyze(tree(modules));
      expect(graph.cycles).toEqual([]);
      for (const node of graph.nodes) {
        const names = node.closure.map((d) => d.module.name);
        expect(new Set(names).size).toBe(names.length);
        const reach = new Set<string>();
        const visit = (n: typeof node): void => n.direct.forEach((d) => { reach.add(d.module.name); visit(d as typeof node); });
        visit(node);
        expect(new Set(names)).toEqual(reach);
        for (const [at, dep] of node.closure.entries()) {
          for (const below of dep.closure) expect(node.closure.indexOf(below)).toBeGreaterThan(at);
        }
      }
    }));
  });

  it('with an edge back into a chain are always a cycle', () => {
    fc.assert(fc.property(fc.integer({ min: 2, max: 10 }), fc.nat(9), (n, back) => {
      const modules = Array.from({ length: n }, (_, i) => treeModule(`m${i}.ko`, {
        exports: [`s${i}`], needs: i + 1 < n ? [`s${i + 1}`] : [`s${back % n}`],
      }));
      expect(analyze(tree(modules)).cycles.length).toBeGreaterThan(0);
    }));
  });
});

it('weak dependencies are recorded and nothing more', () => {
  covers('2.14.20');
  const modules = [treeModule('a.ko', { weakdeps: ['b c'] }), treeModule('b.ko')];
  expect(weakdepText(tree(modules))).toBe('# Weak dependencies extracted from modules themselves.\nweakdep a b c\n');
  expect(depmod(tree(modules)).texts?.['modules.dep']).toContain('a.ko:\n');
});

it('a devname without numbers is an error', () => {
  expect(depmod(tree([treeModule('m.ko', { aliases: ['devname:x/y'] })])).messages).toEqual([
    { about: 'devname', text: "ERROR: Module 'm' has devname (x/y) but lacks major and minor information. Ignoring." },
  ]);
});

it('names in a sysfs directory are read by kernfs hash', () => {
  const holders = ['vduse', 'eni_vdpa', 'vp_vdpa', 'ifcvf', 'virtio_vdpa', 'vhost_vdpa', 'vdpa_sim_blk', 'vdpa_sim_net', 'vdpa_sim'];
  expect(sysfsOrder(holders)).toEqual(['eni_vdpa', 'vdpa_sim', 'vp_vdpa', 'virtio_vdpa', 'vhost_vdpa', 'vdpa_sim_blk', 'vdpa_sim_net', 'ifcvf', 'vduse']);
  expect(sysfsOrder(['vhost', 'vhost_vdpa', 'vduse', 'vringh', 'vdpa_sim'])).toEqual(['vdpa_sim', 'vringh', 'vhost_vdpa', 'vhost', 'vduse']);
});
