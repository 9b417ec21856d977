/** /lib/modules and /etc/modprobe.d of a lab. */
import type { KernelSymbols, ModInfo } from '@vdpalab/abi';
import { builtinModinfoText, builtinText, cycleErrors, depmod, treeOf } from '@vdpalab/kmod';
import type { BuiltModule } from './built-modules.ts';
import type { LabConfig } from './config.ts';

/** Where a release's modules lie in the lab. */
export const moduleDirectory = (release: string): string => `/lib/modules/${release}`;

/** Absolute path of a module's file in the lab; `null` for a built-in. */
export function modulePath(info: ModInfo, release: string): string | null {
  return info.path === null ? null : `${moduleDirectory(release)}/${info.path}`;
}

/**
 * Write the module files, and the indexes depmod makes of them.
 *
 * A package's name is an alias of its module (`modprobe vdpa-core`), in a modprobe.d file of the tree's own.
 *
 * @throws Error when the modules need each other in a circle
 */
export function installModuleTree(modules: readonly BuiltModule[], config: LabConfig, write: KernelSymbols['ramfs_write']): void {
  const { release } = config;
  const dir = moduleDirectory(release);
  const infos = modules.map((m) => m.info);
  for (const info of infos) {
    const path = modulePath(info, release);
    if (path !== null) write(path, JSON.stringify(info), 0o644);
  }
  const tree = treeOf(infos, release);
  const { graph, texts } = depmod(tree);
  if (texts === null) throw new Error(cycleErrors(graph.cycles).join('\n'));
  for (const [name, text] of Object.entries(texts)) write(`${dir}/${name}`, text, 0o644);
  write(`${dir}/modules.builtin`, builtinText(tree), 0o644);
  write(`${dir}/modules.builtin.modinfo`, builtinModinfoText(tree), 0o644);
  write(`${dir}/modules.order`, tree.modules.map((m) => `${m.path}\n`).join(''), 0o644);
  const aliases = infos.filter((info) => !info.builtin && info.package.replaceAll('-', '_') !== info.name);
  write('/lib/modprobe.d/packages.conf', aliases.map((info) => `alias ${info.package} ${info.name}\n`).join(''), 0o644);
  for (const [name, text] of Object.entries(config['modprobe.d'])) write(`/etc/modprobe.d/${name}`, text, 0o644);
}
