import { covers } from '@vdpalab/testing';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EMPTY_CONFIG, parseConfig } from './config.ts';
import { depmod } from './depmod-files.ts';
import { ModuleIndex } from './modindex.ts';
import { resolve } from './plan.ts';
import type { Plan, PlanRequest } from './plan.ts';
import { recordedTree } from './recorded.ts';
import { treeModule } from './tree.ts';
import type { ModuleTree } from './tree.ts';

function plan(tree: ModuleTree, request: PlanRequest, config = '', loaded: readonly string[] = [], gone: readonly string[] = []): Plan {
  const { graph, texts } = depmod(tree);
  const index = ModuleIndex.ofTexts('/M', {
    dep: texts?.['modules.dep'] ?? null, alias: texts?.['modules.alias'] ?? null, symbols: null,
    builtin: tree.builtin.map((b) => `${b.path}\n`).join(''), builtinModinfo: null,
  });
  return resolve(request, {
    index, graph, config: config === '' ? EMPTY_CONFIG : parseConfig([{ path: '/etc/modprobe.d/t.conf', text: config }]),
    isLoaded: (m) => loaded.includes(m) || index.isBuiltin(m), exists: (path) => !gone.includes(path),
  });
}

const steps = (p: Plan): string[] => p.modules.flatMap((m) => m.steps.map((s) => `${s.kind} ${s.module}${s.options === '' ? '' : ` ${s.options}`}`));
const toy = (name: string, needs: readonly string[] = []) => treeModule(`k/${name}.ko`, { exports: [`${name}_f`], needs: needs.map((n) => `${n}_f`) });
const tree = (...modules: ModuleTree['modules'][number][]): ModuleTree => ({ modules, builtin: [], order: null });

describe('a plan', () => {
  it('gives the reason of every step, with the symbols that force it', () => {
    covers('1.8.3');
    const p = plan(recordedTree(), { name: 'vhost_vdpa' });
    expect(p.modules[0]?.steps.map((s) => `${s.origin}: ${s.why}`)).toEqual([
      'dependency: vhost_vdpa needs irqbypass: irq_bypass_register_producer, irq_bypass_unregister_producer',
      'dependency: vhost_vdpa needs vhost_iotlb: vhost_iotlb_del_range, vhost_iotlb_init (+3)',
      'dependency: vhost_vdpa needs vhost: vhost_vring_ioctl, vhost_dev_stop (+6)',
      'dependency: vhost_vdpa needs vdpa: vdpa_unregister_driver, vdpa_get_config (+3)',
      'request: vhost_vdpa was asked for as vhost_vdpa (modules.dep)',
    ]);
    expect(p.modules[0]?.steps.map((s) => s.module)).toEqual(['irqbypass', 'vhost_iotlb', 'vhost', 'vdpa', 'vhost_vdpa']);
  });

  it('names the nearest user of an indirect dependency', () => {
    const p = plan(tree(toy('a', ['b']), toy('b', ['c']), toy('c')), { name: 'a' });
    expect(p.modules[0]?.steps.map((s) => s.why)).toEqual(['b needs c: c_f', 'a needs b: b_f', 'a was asked for as a (modules.dep)']);
  });

  it('runs pre softdeps, hard dependencies, the module, post softdeps; a softdep that is nowhere is skipped', () => {
    covers('2.14.19');
    const all = tree(toy('m', ['d']), toy('d'), toy('p', ['pd']), toy('pd'), toy('q'));
    const p = plan(all, { name: 'm' }, 'softdep m pre: p nowhere post: q\n');
    expect(steps(p)).toEqual(['insmod d', 'insmod pd', 'insmod p', 'insmod m', 'insmod q']);
    expect(p.modules[0]?.steps.map((s) => s.required)).toEqual([true, false, false, true, false]);
    expect(p.modules[0]?.steps.find((s) => s.module === 'q')?.why).toBe('m asks for q after it (/etc/modprobe.d/t.conf:1)');
  });

  it('takes only the first softdep and install line, and cuts loops of softdeps', () => {
    covers('2.14.19');
    const all = tree(toy('a'), toy('b'), toy('c'));
    expect(steps(plan(all, { name: 'a' }, 'softdep a pre: b\nsoftdep a pre: c\n'))).toEqual(['insmod b', 'insmod a']);
    expect(steps(plan(all, { name: 'a' }, 'softdep a pre: b\nsoftdep b pre: a\n'))).toEqual(['insmod b', 'insmod a']);
    expect(steps(plan(all, { name: 'a' }, 'install [ab] one\ninstall a two\n'))).toEqual(['install a']);
  });

  it('does not load weak dependencies', () => {
    covers('2.14.20');
    expect(steps(plan(tree(toy('m'), toy('w')), { name: 'm' }, 'weakdep m w\n'))).toEqual(['insmod m']);
  });

  it('runs install commands, not for a module with softdeps, nor with -i for the one asked for', () => {
    const all = tree(toy('m', ['d']), toy('d'), toy('p'));
    const install = 'install m echo m\ninstall d echo d\n';
    expect(steps(plan(all, { name: 'm' }, install))).toEqual(['install d', 'install m']);
    expect(steps(plan(all, { name: 'm' }, `${install}softdep m pre: p\n`))).toEqual(['install d', 'insmod p', 'insmod m']);
    expect(steps(plan(all, { name: 'm', ignoreCommands: true }, `${install}softdep m pre: p\n`))).toEqual(['install d', 'insmod m']);
  });

  it('adds options of the command line to the module asked for only', () => {
    const all = tree(toy('m', ['d']), toy('d'));
    expect(steps(plan(all, { name: 'm', options: 'x=1' }, 'options d y=2\noptions m z=3\n'))).toEqual(['insmod d y=2 ', 'insmod m z=3 x=1']);
  });

  it('has nothing to do for what is loaded or blacklisted', () => {
    covers('2.14.21');
    const all: ModuleTree = { modules: [treeModule('k/m.ko', { aliases: ['dev:*'] }), toy('d')], builtin: [{ path: 'kernel/x.ko', name: 'x', modinfo: [], exports: [] }], order: null };
    const verdict = (request: PlanRequest, config = '', loaded: readonly string[] = []) => plan(all, request, config, loaded).modules[0]?.verdict;
    expect(verdict({ name: 'm' }, '', ['m'])).toBe('already');
    expect(verdict({ name: 'm', ignoreLoaded: true }, '', ['m'])).toBe('load');
    expect(verdict({ name: 'x' })).toBe('already');
    expect(steps(plan(all, { name: 'x', ignoreLoaded: true }))).toEqual(['builtin x']);
    expect(verdict({ name: 'm' }, 'blacklist m')).toBe('load');
    expect(verdict({ name: 'm', useBlacklist: true }, 'blacklist m')).toBe('blacklisted');
    expect(verdict({ name: 'dev:1' }, 'blacklist m')).toBe('blacklisted');
    expect(verdict({ name: 'nowhere' })).toBeUndefined();
    expect(steps(plan(all, { name: 'z' }, 'alias z gone'))).toEqual(['missing gone']);
  });

  it('treats a module whose dependency has no file as one without dependencies, and says so', () => {
    const p = plan(tree(toy('m', ['d']), toy('d')), { name: 'm' }, '', [], ['/M/k/d.ko']);
    expect(steps(p)).toEqual(['insmod m']);
    expect(p.modules[0]?.missing).toEqual([{ path: '/M/k/d.ko', of: 'm' }]);
  });

  it('of any DAG lists every dependency once, before its dependents, in the reverse of modules.dep', () => {
    fc.assert(fc.property(fc.array(fc.tuple(fc.nat(11), fc.nat(11)), { maxLength: 40 }), fc.nat(11), (pairs, root) => {
      const down = pairs.filter(([u, d]) => u < d);
      const all = tree(...Array.from({ length: 12 }, (_, i) => toy(`m${i}`, down.filter(([u]) => u === i).map(([, d]) => `m${d}`))));
      const listed = plan(all, { name: `m${root}` }).modules[0]?.steps.map((s) => s.module) ?? [];
      expect(new Set(listed).size).toBe(listed.length);
      for (const [user, dep] of down) {
        if (listed.includes(`m${user}`)) expect(listed.indexOf(`m${dep}`)).toBeLessThan(listed.indexOf(`m${user}`));
        if (listed.includes(`m${user}`)) expect(listed).toContain(`m${dep}`);
      }
      const line = (depmod(all).texts?.['modules.dep'] ?? '').split('\n').find((l) => l.startsWith(`k/m${root}.ko:`)) ?? '';
      const deps = line.split(': ')[1]?.split(' ').map((path) => path.replace(/^k\/|\.ko$/g, '')) ?? [];
      expect(listed).toEqual([...deps.reverse(), `m${root}`]);
    }));
  });
});
