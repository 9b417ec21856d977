/** /lib/modules and /etc/modprobe.d of a lab. */
import type { KernelSymbols, ModInfo } from '@vdpalab/abi';
import type { BuiltModule } from './built-modules.ts';
import type { LabConfig } from './config.ts';

/** Where a release's modules lie in the lab. */
export const moduleDirectory = (release: string): string => `/lib/modules/${release}`;

/** Absolute path of a module's file in the lab; `null` for a built-in. */
export function modulePath(info: ModInfo, release: string): string | null {
  return info.path === null ? null : `${moduleDirectory(release)}/${info.path}`;
}

/** Write the module files, and the indexes depmod makes of them. */
export function installModuleTree(modules: readonly BuiltModule[], config: LabConfig, write: KernelSymbols['ramfs_write']): void {
  const dir = moduleDirectory(config.release);
  for (const { info } of modules) {
    const path = modulePath(info, config.release);
    if (path !== null) write(path, JSON.stringify(info), 0o644);
  }
  for (const [name, text] of Object.entries(config['modprobe.d'])) write(`/etc/modprobe.d/${name}`, text, 0o644);
  write(`${dir}/modules.builtin`, modules.filter((m) => m.info.builtin).map((m) => `kernel/${m.info.package}/${m.info.name}.ko\n`).join(''), 0o644);
}
