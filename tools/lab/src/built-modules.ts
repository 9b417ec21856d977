/** Built modules on the host's disk: where they are, what they say of themselves, and opening one as the kernel would. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { KernelError, type ModInfo } from '@vdpalab/abi';
import { moduleInfo, readDefinition, scanModule, type ModuleImage, type ModuleInfo } from '@vdpalab/loader';

/** A module package that has been built. */
export interface BuiltModule {
  readonly info: ModInfo;
  /** Host folder of the package, or of the one file. */
  readonly dir: string;
  /** Host file whose default export is the module. */
  readonly entry: string;
  /** The module itself, where it has been read already. */
  readonly definition?: unknown;
}

/** Folder of this project's own module packages. */
export const workspaceModules = fileURLToPath(new URL('../../../modules/', import.meta.url));

/**
 * Read what a package's build wrote.
 *
 * @throws Error when the package is not built
 */
export function readBuiltModule(dir: string): BuiltModule {
  const file = join(dir, 'dist', 'modinfo.json');
  if (!existsSync(file)) throw new Error(`${dir} is not built: ${file} is missing; run "npm run build"`);
  return { info: JSON.parse(readFileSync(file, 'utf8')) as ModInfo, dir, entry: join(dir, 'dist', 'module.js') }; // written by our own build
}

/** Every built package of a folder, by name; packages without a build are left out. */
export function builtModules(folder: string = workspaceModules): BuiltModule[] {
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && existsSync(join(folder, entry.name, 'dist', 'modinfo.json')))
    .map((entry) => readBuiltModule(join(folder, entry.name)))
    .sort((a, b) => (a.info.name < b.info.name ? -1 : 1));
}

/**
 * Refuse a module that reaches anything but the shared rooms and its own files, from its entry on.
 *
 * @throws ENOEXEC naming file, line and import
 */
export function scanBuilt(module: BuiltModule): void {
  const seen = new Set<string>();
  const visit = (file: string): void => {
    if (seen.has(file)) return;
    seen.add(file);
    const name = join(module.info.package, relative(module.dir, file));
    for (const next of scanModule(readFileSync(file, 'utf8'), name)) visit(resolve(dirname(file), next));
  };
  visit(module.entry);
}

/**
 * Open a built module as a loadable image.
 *
 * @param path where user space found it, for messages
 * @param info what the loaded file says of itself, where that is not what the build wrote
 * @throws ENOEXEC when a file imports what it may not, or the default export is no module
 */
export async function openImage(module: BuiltModule, path: string, info: ModuleInfo = moduleInfo(module.info)): Promise<ModuleImage> {
  scanBuilt(module);
  const entry = pathToFileURL(module.entry).href;
  let { definition } = module;
  try {
    definition ??= ((await import(entry)) as { default?: unknown }).default;
  } catch (error) {
    throw new KernelError('ENOEXEC', 'module.load.import', `${path}: ${String(error)}`, { cause: error });
  }
  return { definition: readDefinition(definition, path), path, info };
}

/**
 * Built-in modules in an order in which every symbol's exporter comes first.
 *
 * @throws Error that names the cycle, or the symbol nobody exports
 */
export function bootOrder(modules: readonly BuiltModule[], provided: ReadonlySet<string>): BuiltModule[] {
  const owner = new Map(modules.flatMap((m) => m.info.exports.map((e) => [e.name, m] as const)));
  const order: BuiltModule[] = [];
  const state = new Map<BuiltModule, 'open' | 'done'>();
  const visit = (m: BuiltModule, path: readonly string[]): void => {
    if (state.get(m) === 'done') return;
    if (state.get(m) === 'open') throw new Error(`built-in modules need each other: ${[...path, m.info.name].join(' -> ')}`);
    state.set(m, 'open');
    for (const need of m.info.imports) {
      if (provided.has(need.name)) continue;
      const from = owner.get(need.name);
      if (from === undefined && !need.weak) throw new Error(`built-in ${m.info.name} needs ${need.name}, which nothing built in exports`);
      if (from !== undefined && from !== m) visit(from, [...path, m.info.name]);
    }
    state.set(m, 'done');
    order.push(m);
  };
  for (const m of modules) visit(m, []);
  return order;
}
