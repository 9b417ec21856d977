/** What the conformance tests read: packages, built modules, sources. */
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { ModInfo } from '@vdpalab/abi';

/** The workspace's root folder. */
export const root = resolve(import.meta.dirname, '../../..');

/** A package of the workspace. */
export interface Package {
  /** Relative to the root: `modules/vdpa-core`. */
  readonly dir: string;
  readonly name: string;
  readonly dependencies: ReadonlySet<string>;
  readonly devDependencies: ReadonlySet<string>;
}

/** All packages, in the order of their folders. */
export function packages(): Package[] {
  const dirs = [...['modules', 'tools'].flatMap((room) => readdirSync(join(root, room)).sort().map((name) => `${room}/${name}`)), 'test'];
  return dirs
    .filter((dir) => existsSync(join(root, dir, 'package.json')))
    .map((dir) => {
      const json = JSON.parse(readFileSync(join(root, dir, 'package.json'), 'utf8')) as {
        name: string; dependencies?: object; devDependencies?: object;
      };
      return {
        dir,
        name: json.name,
        dependencies: new Set(Object.keys(json.dependencies ?? {})),
        devDependencies: new Set(Object.keys(json.devDependencies ?? {})),
      };
    });
}

/** A module package with what kbuild wrote about it. */
export interface BuiltModule {
  readonly pkg: Package;
  readonly info: ModInfo;
}

/**
 * Every module of the workspace, built.
 *
 * @throws Error for a module that has sources and no modinfo.json
 */
export function builtModules(): BuiltModule[] {
  return packages()
    .filter((pkg) => pkg.dir.startsWith('modules/') && existsSync(join(root, pkg.dir, 'src/module.ts')))
    .map((pkg) => {
      const file = join(root, pkg.dir, 'dist/modinfo.json');
      if (!existsSync(file)) throw new Error(`${pkg.dir}/dist/modinfo.json is missing: run "npm run build"`);
      return { pkg, info: JSON.parse(readFileSync(file, 'utf8')) as ModInfo };
    });
}

/** TypeScript and JavaScript sources of a package, relative to the root. */
export function sources(pkg: Package): string[] {
  const src = join(root, pkg.dir, 'src');
  if (!existsSync(src)) return [];
  return readdirSync(src, { recursive: true, encoding: 'utf8' })
    .filter((file) => /\.[jt]s$/.test(file))
    .sort()
    .map((file) => `${pkg.dir}/src/${file}`);
}
