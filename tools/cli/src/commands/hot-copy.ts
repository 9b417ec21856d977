/** Copies of built modules under names of their own: Node reads a file once, so changed code needs another path. */
import { createHash } from 'node:crypto';
import { cpSync, existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readBuiltModule, type BuiltModule } from '@vdpalab/lab';

/** A copy, and what tells it from others. */
export interface HotCopy {
  readonly module: BuiltModule;
  /** Of everything the module is made of: equal builds are one copy. */
  readonly hash: string;
}

/** Files of a build, relative to its dist/, in a fixed order; what only tests need is left out. */
function builtFiles(dist: string): string[] {
  return readdirSync(dist, { recursive: true, encoding: 'utf8' })
    .filter((file) => /\.js(on)?$/.test(file) && !file.endsWith('.test.js') && !/(^|[\\/])testing[\\/]/.test(file))
    .sort();
}

/**
 * Copy a module's build.
 *
 * @param into folder for copies; below the workspace, so that what modules import is found from there
 * @throws Error when the module is not built
 */
export function hotCopy(module: BuiltModule, into: string): HotCopy {
  const dist = join(module.dir, 'dist');
  const hash = createHash('sha256');
  const files = builtFiles(dist);
  for (const file of files) hash.update(`${file}\0`).update(readFileSync(join(dist, file)));
  const name = hash.digest('hex').slice(0, 12);
  const dir = join(into, `${module.info.package}-${name}`);
  if (!existsSync(join(dir, 'dist', 'modinfo.json'))) {
    cpSync(join(module.dir, 'package.json'), join(dir, 'package.json')); // says that these are ES modules
    for (const file of files.toSorted((a, b) => Number(a === 'modinfo.json') - Number(b === 'modinfo.json'))) cpSync(join(dist, file), join(dir, 'dist', file));
  }
  return { module: readBuiltModule(dir), hash: name };
}
