/** The module tree of the recorded kernel, as far as the recordings show it; for tests. */
import { readFileSync } from 'node:fs';
import { moduleName } from './names.ts';
import { treeModule } from './tree.ts';
import type { ModuleTree, TreeModule } from './tree.ts';

/** `/lib/modules/6.1.0-56-amd64` of the recordings. */
export const RECORDED_DIR = '/lib/modules/6.1.0-56-amd64';

const KVM = 'kernel/arch/x86/kvm/kvm.ko';

/** Text of a file in testdata/. */
export function recorded(name: string): string {
  return readFileSync(new URL(`../testdata/linux-6.1.${name}`, import.meta.url), 'utf8');
}

/** Lines of a file in testdata/, comments left out. */
export function recordedLines(name: string): string[] {
  return recorded(name).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
}

/** Who exports a symbol that the kernel logged as unknown. */
function owner(symbol: string): string {
  const known: readonly (readonly [RegExp, string])[] = [
    [/^vhost_iotlb_/, 'vhost_iotlb'], [/^vringh_/, 'vringh'], [/^(vring_|virtqueue_)/, 'virtio_ring'], [/^vdpasim_/, 'vdpa_sim'],
    [/^_*vdpa_/, 'vdpa'], [/^irq_bypass_/, 'irqbypass'], [/^vhost_/, 'vhost'], [/virtio/, 'virtio'], [/^vp_modern_/, 'virtio_pci_modern_dev'],
    [/^rk_value$/, 'rk_provider'],
  ];
  return known.find(([pattern]) => pattern.test(symbol))?.[1] ?? 'nobody';
}

/** The recorded tree: real needs where the kernel logged them, one symbol per edge elsewhere. */
export function recordedTree(): ModuleTree {
  const depLines = recordedLines('modules.dep').map((line) => line.split(': ')).map(([path, deps]) => ({
    path: (path ?? '').replace(/:$/, ''), deps: (deps ?? '').split(' ').filter((d) => d !== ''),
  }));
  const needs = new Map<string, string[]>();
  for (const line of recordedLines('needs')) {
    const [module, symbol] = line.split(' ') as [string, string];
    needs.set(module, [...(needs.get(module) ?? []), symbol]);
  }
  const depends = new Map(recordedLines('depends').map((line) => line.split(':').map((w) => w.trim()) as [string, string]));
  const exported = new Map<string, Set<string>>();
  const exports = (module: string): Set<string> => {
    const set = exported.get(module) ?? new Set<string>();
    exported.set(module, set);
    return set;
  };
  for (const symbols of needs.values()) for (const symbol of symbols) exports(owner(symbol)).add(symbol);
  for (const line of recordedLines('modules.symbols')) {
    const m = /^alias symbol:(\S+) (\S+)$/.exec(line);
    if (m !== null) exports(m[2] as string).add(m[1] as string); // both groups match
  }
  const aliases = new Map<string, string[]>();
  for (const line of recordedLines('modules.alias')) {
    const [, alias, module] = line.split(' ') as [string, string, string];
    aliases.set(module, [...(aliases.get(module) ?? []), alias]);
  }
  const softdeps = new Map<string, string[]>();
  for (const line of recordedLines('modules.softdep')) {
    const m = /^softdep (\S+) (.*)$/.exec(line);
    if (m !== null) softdeps.set(m[1] as string, [m[2] as string]); // both groups match
  }
  const paths = new Map(depLines.flatMap((l) => [l.path, ...l.deps]).map((path) => [moduleName(path), path] as const));
  // kvm uses irqbypass, as lsmod showed; early in modules.order, it is why irqbypass is the last of every list.
  paths.set('kvm', KVM);
  depends.set('kvm', 'irqbypass');
  depends.set('net_failover', 'failover');
  const modules: TreeModule[] = [...paths].map(([name, path]) => {
    const listed = depends.get(name);
    const direct = listed !== undefined ? listed.split(',').filter((d) => d !== '') : (depLines.find((l) => l.path === path)?.deps ?? []).map(moduleName);
    const edges = direct.map((dep) => `${dep}__for_others`);
    const wanted = needs.get(name) ?? edges;
    for (const symbol of wanted) if (symbol.endsWith('__for_others')) exports(symbol.replace('__for_others', '')).add(symbol);
    return treeModule(path, {
      needs: wanted.map((symbol) => ({ name: symbol, weak: name === 'rk_weak', crc: null })),
      aliases: aliases.get(name) ?? [], softdeps: softdeps.get(name) ?? [],
    });
  });
  return {
    modules: modules.map((m) => ({ ...m, exports: [...exports(m.name)].map((name) => ({ name, crc: 0, gpl: true, namespace: '' })) })),
    builtin: [],
    // Everything that stands before the out-of-tree modules, which modules.order does not list.
    order: [KVM, ...depLines.slice(0, depLines.findIndex((l) => l.path.endsWith('rk_provider.ko'))).map((l) => l.path)],
  };
}
