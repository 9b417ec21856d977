/** Rooms and doors: which package may reach which at run time, and that package.json says so. */
import { readFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { join } from 'node:path';
import { parseAst } from 'rolldown/parseAst';
import { describe, expect, test } from 'vitest';
import { packages, root, sources } from './workspace.ts';
import type { Package } from './workspace.ts';

/** A bare import in a source file. */
interface BareImport {
  readonly file: string;
  /** `zod`, `@vdpalab/abi` */
  readonly package: string;
  readonly typeOnly: boolean;
}

interface Statement {
  readonly type: string;
  readonly source?: { readonly value: string } | null;
  readonly importKind?: string;
  readonly exportKind?: string;
  readonly specifiers?: readonly { readonly importKind?: string }[];
}

function bareImports(pkg: Package): BareImport[] {
  return sources(pkg).flatMap((file) => {
    const body = parseAst(readFileSync(join(root, file), 'utf8'), { lang: file.endsWith('.ts') ? 'ts' : 'js' }).body as unknown as Statement[];
    return body
      .filter((s) => s.source && !s.source.value.startsWith('.'))
      .map((s) => ({
        file,
        package: packageOf(s.source?.value ?? ''),
        typeOnly: s.importKind === 'type' || s.exportKind === 'type',
      }));
  });
}

function packageOf(specifier: string): string {
  return specifier.split('/').slice(0, specifier.startsWith('@') ? 2 : 1).join('/');
}

const isNode = (name: string): boolean => name.startsWith('node:') || builtinModules.includes(name);
/** Tests, their helpers, benchmarks and writers of generated sources: nothing that runs in a lab. */
const isTestFile = (file: string): boolean => file.startsWith('test/') || /\.test\.ts$|\.arbitrary\.ts$|\/(bench|testing)\/|\/template\/write\.ts$/.test(file);
/** Root devDependencies, for every package's tests. */
const forTests = ['vitest', 'fast-check', 'mitata'];

/** Rooms that may import at run time only what is named; the others are free within their package.json. */
const rooms: Readonly<Record<string, readonly string[]>> = {
  'tools/abi': ['zod'],
  'tools/uapi': [],
  'tools/vring': ['@vdpalab/uapi'],
  'tools/loader': ['@vdpalab/abi', '@vdpalab/uapi', 'es-module-lexer', 'zod'],
  'tools/kmod': ['@vdpalab/abi', 'zod'],
  'tools/machine': ['@vdpalab/abi', '@vdpalab/uapi', '@vdpalab/vring'],
  modules: ['@vdpalab/abi', '@vdpalab/uapi', '@vdpalab/vring'],
};

/** Rooms above that may use Node: they read files of a module tree. */
const withNode = ['tools/loader', 'tools/kmod'];

const all = packages();
const imports = new Map(all.map((pkg) => [pkg, bareImports(pkg)]));

describe('a package', () => {
  test('declares what it imports', () => {
    const undeclared = [...imports].flatMap(([pkg, list]) => list
      .filter((i) => !isNode(i.package) && i.package !== pkg.name)
      .filter((i) => !(isTestFile(i.file) && forTests.includes(i.package)))
      .filter((i) => !pkg.dependencies.has(i.package) && !pkg.devDependencies.has(i.package))
      .map((i) => `${i.file}: ${i.package} is not in ${pkg.dir}/package.json`));
    expect([...new Set(undeclared)]).toEqual([]);
  });

  test('needs at run time what is in "dependencies", not in "devDependencies"', () => {
    const wrong = [...imports].flatMap(([pkg, list]) => list
      .filter((i) => !i.typeOnly && !isTestFile(i.file) && pkg.devDependencies.has(i.package) && !pkg.dependencies.has(i.package))
      .filter((i) => pkg.dir !== 'tools/kbuild' && pkg.dir !== 'tools/features' && pkg.dir !== 'test' && !i.file.startsWith('tools/explain/src/dev/')) // they run in development only
      .map((i) => `${i.file}: ${i.package}`));
    expect(wrong).toEqual([]);
  });

  test('reaches at run time only the rooms below it', () => {
    const wrong = [...imports].flatMap(([pkg, list]) => {
      const allowed = rooms[pkg.dir] ?? (pkg.dir.startsWith('modules/') ? rooms['modules'] : undefined);
      if (allowed === undefined) return [];
      return list.filter((i) => !i.typeOnly && !isTestFile(i.file) && !allowed.includes(i.package) && !(isNode(i.package) && withNode.includes(pkg.dir))).map((i) => `${i.file}: ${i.package}`);
    });
    expect(wrong).toEqual([]);
  });

  test('has a README as soon as it has code', () => {
    const withCode = all.filter((pkg) => sources(pkg).some((file) => !/\/(index|header)\.ts$/.test(file)));
    expect(withCode.filter((pkg) => pkg.dir !== 'test' && !hasReadme(pkg)).map((pkg) => pkg.dir)).toEqual([]);
  });

  test('knows no kernel if it is the machine, no host if it is a module', () => {
    const machine = [...imports].find(([pkg]) => pkg.dir === 'tools/machine')?.[1] ?? [];
    const modulePackages = new Set(all.filter((pkg) => pkg.dir.startsWith('modules/')).map((pkg) => pkg.name));
    expect(machine.filter((i) => modulePackages.has(i.package)).map((i) => `${i.file}: ${i.package}`)).toEqual([]);
    const tools = new Set(all.filter((pkg) => pkg.dir.startsWith('tools/')).map((pkg) => pkg.name));
    const upward = [...imports].filter(([pkg]) => pkg.dir.startsWith('modules/')).flatMap(([, list]) => list
      .filter((i) => !isTestFile(i.file) && tools.has(i.package) && !(rooms['modules'] ?? []).includes(i.package))
      .map((i) => `${i.file}: ${i.package}`));
    expect(upward).toEqual([]);
  });
});

function hasReadme(pkg: Package): boolean {
  try {
    return readFileSync(join(root, pkg.dir, 'README.md'), 'utf8').trim() !== '';
  } catch {
    return false;
  }
}
