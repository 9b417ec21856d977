/** /lib/modules and /etc/modprobe.d of a lab. */
import type { KernelSymbols, ModInfo } from '@vdpalab/abi';
import { builtinModinfoText, builtinText, cycleErrors, depmod, treeOf, type ModuleTree } from '@vdpalab/kmod';
import { buildOrder } from './build-order.ts';
import type { BuiltModule } from './built-modules.ts';
import type { LabConfig } from './config.ts';
import { moduleFile } from './module-file.ts';

/** Where a release's modules lie in the lab. */
export const moduleDirectory = (release: string): string => `/lib/modules/${release}`;

/** Absolute path of a module's file in the lab, in the tree or outside it; `null` for a built-in. */
export function modulePath(info: ModInfo, release: string): string | null {
  if (info.path === null || info.path.startsWith('/')) return info.path;
  return `${moduleDirectory(release)}/${info.path}`;
}

/**
 * Write the module files, and the indexes depmod makes of them; modules built out of tree are not in modules.order.
 *
 * A package's name is an alias of its module (`modprobe vdpa-core`), in a modprobe.d file of the tree's own.
 *
 * @throws Error when the modules need each other in a circle
 */
export function installModuleTree(modules: readonly BuiltModule[], config: LabConfig, write: KernelSymbols['ramfs_write']): void {
  const { release } = config;
  const dir = moduleDirectory(release);
  const infos = modules.map((m) => m.info);
  const all = infos.filter((info) => !info.builtin).map((info) => ({ info, ...moduleFile(info) }));
  for (const { info, bytes } of all) write(modulePath(info, release) as string, bytes, 0o644); // built-in ones are left out
  const files = all.filter(({ info }) => info.path?.startsWith('/') !== true);
  const order = buildOrder(files.filter((f) => f.info.intree !== false).map((f) => f.module.path));
  const tree: ModuleTree = { modules: files.map((f) => f.module), builtin: treeOf(infos.filter((info) => info.builtin)).builtin, order };
  const { graph, files: indexes } = depmod(tree);
  if (graph.cycles.length > 0) throw new Error(cycleErrors(graph.cycles).join('\n'));
  for (const [name, contents] of indexes) write(`${dir}/${name}`, contents, 0o644);
  write(`${dir}/modules.builtin`, builtinText(tree), 0o644);
  write(`${dir}/modules.builtin.modinfo`, builtinModinfoText(tree), 0o644);
  write(`${dir}/modules.order`, order.map((path) => `${path}\n`).join(''), 0o644);
  const aliases = files.map((f) => f.info).filter((info) => info.package.replaceAll('-', '_') !== info.name);
  write('/lib/modprobe.d/packages.conf', aliases.map((info) => `alias ${info.package} ${info.name}\n`).join(''), 0o644);
  for (const [name, text] of Object.entries(config['modprobe.d'])) write(`/etc/modprobe.d/${name}`, text, 0o644);
}
