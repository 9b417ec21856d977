/** The host's side of `vdpalab watch`: a module's folder, its changes, its build. */
import { spawnSync } from 'node:child_process';
import { existsSync, watch } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { workspaceModules } from '@vdpalab/lab';
import { QuestionError } from './questions.ts';

/** Root of the workspace. */
const root = fileURLToPath(new URL('../../../../', import.meta.url));

/** Milliseconds in which an editor's several writes count as one change. */
const SETTLE_MS = 50;

/** The folder of a package under modules/. @throws QuestionError when there is none */
export function moduleFolder(name: string): string {
  const dir = join(workspaceModules, name);
  if (!existsSync(join(dir, 'package.json'))) throw new QuestionError(`no package modules/${name}`);
  return dir;
}

/** A value each time something below a module's src/ has changed, for ever. */
export async function* sourceChanges(dir: string): AsyncGenerator<undefined> {
  let changed: (() => void) | null = null;
  let pending = false;
  const watcher = watch(join(dir, 'src'), { recursive: true }, () => {
    pending = true;
    changed?.();
  });
  try {
    for (;;) {
      if (!pending) await new Promise<void>((resolve) => { changed = resolve; });
      await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
      pending = false;
      yield undefined;
    }
  } finally {
    watcher.close();
  }
}

/** Compile a module and write its modinfo.json. @returns what the compiler says; empty when all is well */
export function buildModule(dir: string): string {
  const where = relative(root, dir);
  for (const args of [[join(root, 'node_modules/typescript/bin/tsc'), '-b', where], [join(root, 'tools/kbuild/src/modinfo.js'), where]]) {
    const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8' });
    if (status !== 0) return `${stdout}${stderr}`;
  }
  return '';
}
