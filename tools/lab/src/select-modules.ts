/** Which modules a lab has, and what they say of themselves there. */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { isListed, usuallyOutside } from './build-order.ts';
import { builtModules, readBuiltModule, type BuiltModule } from './built-modules.ts';
import type { LabConfig } from './config.ts';
import { readModuleFiles } from './module-files.ts';

/**
 * The modules a lab file asks for: all built-ins, those of the workspace that are not left out, and those it brings.
 *
 * @param folder host folder that the lab file's paths start from
 * @throws Error when a folder holds neither a built package nor module files
 */
export async function selectModules(config: LabConfig, folder: string): Promise<BuiltModule[]> {
  const { release, modules: { only, without, extra, out_of_tree, unsigned } } = config;
  const outside = out_of_tree ?? usuallyOutside(release);
  const fromOutside = { intree: false, signed: unsigned !== undefined }; // then the list says
  const own = builtModules()
    .filter(({ info }) => info.builtin || ((only === undefined || isListed(only, info)) && !isListed(without, info)))
    .map((m) => (isListed(outside, m.info) ? { ...m, info: { ...m.info, ...fromOutside } } : m));
  const selected = [...own];
  for (const dir of extra.map((path) => resolve(folder, path))) {
    if (!existsSync(join(dir, 'dist'))) selected.push(...await readModuleFiles(dir, selected));
    else {
      const built = readBuiltModule(dir);
      selected.push({ ...built, info: { ...built.info, ...fromOutside } });
    }
  }
  return selected.map((m) => {
    const vermagic = m.info.vermagic.replace(/^6\.1\.0-vdpalab(?= )/, () => release); // another first word was given on purpose
    return { ...m, info: { ...m.info, vermagic, ...(isListed(unsigned ?? [], m.info) ? { signed: false } : {}) } };
  });
}
