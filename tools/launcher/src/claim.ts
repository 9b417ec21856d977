/** Who has which lab's name. */
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { LauncherError } from './errors.ts';
import { labPaths, makeRuntimeRoot, removeLabDir, runtimeRoot, type LabPaths } from './runtime-dir.ts';

/** When a process began, in clock ticks since boot: with its number it is one process only. `null` when it does not run. */
function startOf(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? null;
  } catch {
    return null;
  }
}

/** The process that has a lab's name; `null` when none does, or it was killed. */
export function ownerOf(paths: LabPaths): number | null {
  let text: string;
  try {
    text = readFileSync(join(paths.dir, 'owner'), 'latin1');
  } catch {
    return null;
  }
  const [pid, start] = text.trim().split(' ');
  return start !== undefined && startOf(Number(pid)) === start ? Number(pid) : null;
}

/**
 * Take a name for this process: its directory is made. What a process that was killed has left under the name is cleared away.
 *
 * @throws LauncherError when a lab of that name runs
 */
export function claim(name: string): LabPaths {
  const root = runtimeRoot();
  const paths = labPaths(name, root);
  for (;;) {
    makeRuntimeRoot(root);
    const made = mkdtempSync(join(root, '.new-'));
    try {
      writeFileSync(join(made, 'owner'), `${process.pid} ${startOf(process.pid)}\n`);
      for (const name of ['mnt', 'points']) mkdirSync(join(made, name));
      renameSync(made, paths.dir); // only onto nothing: the directory of another is not empty
      return paths;
    } catch (error) {
      rmSync(made, { recursive: true, force: true });
      const { code } = error as NodeJS.ErrnoException;
      if (code !== 'ENOTEMPTY' && code !== 'EEXIST') throw error;
    }
    const owner = ownerOf(paths);
    if (owner !== null) throw new LauncherError(`a lab named ${name} runs already (process ${owner})`, 1);
    removeLabDir(paths, root);
  }
}
