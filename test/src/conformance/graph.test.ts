/** The graph that packages declare and the graph that symbols link are two sources; they must say the same. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createProjectGraphAsync } from '@nx/devkit';
import { covers } from '@vdpalab/testing';
import { describe, expect, test } from 'vitest';
import { builtModules, root } from './workspace.ts';
import type { BuiltModule } from './workspace.ts';

process.env['NX_DAEMON'] = 'false';
process.env['NX_ISOLATE_PLUGINS'] = 'false';

const modules = builtModules();
const byName = new Map(modules.map((m) => [m.pkg.name, m]));

/** Symbol -> package that exports it; `vmlinux` for the symbols of loader and machine. */
function exporters(): Map<string, string> {
  const owners = new Map<string, string>();
  for (const line of readFileSync(join(root, 'out/Module.symvers'), 'utf8').split('\n')) {
    const [, symbol, owner] = line.split('\t');
    if (symbol !== undefined && owner === 'vmlinux') owners.set(symbol, 'vmlinux');
  }
  for (const { pkg, info } of modules) for (const { name } of info.exports) owners.set(name, pkg.name);
  return owners;
}

/** `importer -> exporter` for each strong import that another module package answers. */
function linkedEdges(): Set<string> {
  const owners = exporters();
  const edges = new Set<string>();
  for (const { pkg, info } of modules) {
    for (const { name, weak } of info.imports) {
      const owner = owners.get(name);
      if (!weak && owner !== undefined && owner !== 'vmlinux' && owner !== pkg.name) edges.add(`${pkg.name} -> ${owner}`);
    }
  }
  return edges;
}

/** nx's edges between modules; header-only ones, which package.json keeps in devDependencies, left out. */
async function declaredEdges(): Promise<Set<string>> {
  const graph = await createProjectGraphAsync({ exitOnError: false });
  const isModule = (name: string): boolean => byName.has(name);
  const edges = Object.values(graph.dependencies).flat().filter(({ source, target }) => isModule(source) && isModule(target));
  return new Set(edges.filter(({ source, target }) => byName.get(source)?.pkg.dependencies.has(target)).map(({ source, target }) => `${source} -> ${target}`));
}

const minus = (a: Set<string>, b: Set<string>): string[] => [...a].filter((edge) => !b.has(edge)).sort();

describe('the module graph', () => {
  test('declared by packages equals the one linked by symbols', async () => {
    const [declared, linked] = [await declaredEdges(), linkedEdges()];
    expect({
      'linked but not in package.json "dependencies"': minus(linked, declared),
      'in "dependencies" but no symbol imported (types only: use "devDependencies")': minus(declared, linked),
    }).toEqual({
      'linked but not in package.json "dependencies"': [],
      'in "dependencies" but no symbol imported (types only: use "devDependencies")': [],
    });
  });

  test('answers every strong import', () => {
    const owners = exporters();
    const missing = modules.flatMap(({ pkg, info }) => info.imports.filter((i) => !i.weak && !owners.has(i.name)).map((i) => `${pkg.name}: ${i.name}`));
    expect(missing).toEqual([]);
  });

  test('has one exporter per symbol and one module per name', () => {
    const repeated = (names: readonly string[]): string[] => names.filter((name, i) => names.indexOf(name) !== i);
    expect(repeated(modules.flatMap(({ info }) => info.exports.map((e) => e.name)))).toEqual([]);
    expect(repeated(modules.map(({ info }) => info.name))).toEqual([]);
  });

  test('lets a built-in module need built-in modules only', () => {
    const owners = exporters();
    const builtin = (name: string | undefined): boolean => name === 'vmlinux' || (name !== undefined && byName.get(name)?.info.builtin === true);
    const wrong = modules.filter(({ info }) => info.builtin).flatMap(({ pkg, info }) => info.imports.filter((i) => !i.weak && !builtin(owners.get(i.name))).map((i) => `${pkg.name}: ${i.name}`));
    expect(wrong).toEqual([]);
  });

  test('has no cycle', () => {
    const edges = new Map<string, string[]>();
    for (const edge of linkedEdges()) {
      const [from = '', to = ''] = edge.split(' -> ');
      edges.set(from, [...(edges.get(from) ?? []), to]);
    }
    const done = new Set<string>();
    const visit = (name: string, path: readonly string[]): void => {
      expect(path, `cycle through ${name}`).not.toContain(name);
      if (done.has(name)) return;
      for (const next of edges.get(name) ?? []) visit(next, [...path, name]);
      done.add(name);
    };
    for (const { pkg } of modules) visit(pkg.name, []);
    expect(done.size).toBe(modules.length);
  });
});

const reaches = (from: BuiltModule, test_: (m: BuiltModule) => boolean, seen = new Set<string>()): boolean => {
  for (const dep of from.pkg.dependencies) {
    const next = byName.get(dep);
    if (next === undefined || seen.has(dep)) continue;
    seen.add(dep);
    if (test_(next) || reaches(next, test_, seen)) return true;
  }
  return false;
};
const find = (name: string): BuiltModule | undefined => modules.find((m) => m.info.name === name);
const busDrivers = ['vhost_vdpa', 'virtio_vdpa', 'vhost_mdev'];
const parents = ['ifcvf', 'mlx5_vdpa', 'mlx5_core', 'vdpa_sim', 'vdpa_sim_net', 'vdpa_sim_blk', 'vduse', 'vp_vdpa', 'siov_adi'];

describe('the layers', () => {
  const present = busDrivers.map(find).filter((m) => m !== undefined);

  test.runIf(present.length > 0)('keep bus drivers free of parents', () => {
    covers('1.1.10');
    for (const driver of present) {
      expect(reaches(driver, (m) => parents.includes(m.info.name)), driver.info.name).toBe(false);
      for (const dep of [...driver.pkg.dependencies, ...driver.pkg.devDependencies]) expect(parents.map((p) => find(p)?.pkg.name)).not.toContain(dep);
    }
  });

  test('have one suite for front-ends, which knows no parent', () => {
    covers('1.9.2');
    const suite = join(root, 'tools/testing/src/vdpa-parent/conformance');
    const known = [...parents, 'vdpasim', 'n3000', 'siov'];
    for (const file of readdirSync(suite)) {
      const text = readFileSync(join(suite, file), 'utf8');
      expect([file, known.filter((name) => text.includes(name)), /\bname [!=]==/.test(text)]).toEqual([file, [], false]);
    }
  });

  test.runIf(find('vdpa') !== undefined)('keep the vdpa bus free of any DMA layer', () => {
    covers('1.3.1');
    expect(reaches(find('vdpa')!, (m) => ['vfio_iommu_type1', 'vfio', 'vhost', 'vhost_iotlb'].includes(m.info.name))).toBe(false);
  });

  test.runIf(find('vhost') !== undefined && find('virtio') !== undefined)('join vhost and virtio without an edge between them', () => {
    covers('1.1.22');
    const vhostSide = ['vhost', 'vhost_iotlb', 'vringh', 'vhost_vdpa'].map(find).filter((m) => m !== undefined);
    const virtioSide = ['virtio', 'virtio_ring', 'virtio_vdpa'].map(find).filter((m) => m !== undefined);
    for (const m of vhostSide) expect(reaches(m, (other) => virtioSide.includes(other)), m.info.name).toBe(false);
    for (const m of virtioSide) expect(reaches(m, (other) => vhostSide.includes(other)), m.info.name).toBe(false);
  });
});
