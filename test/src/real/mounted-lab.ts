/** A lab on a directory of the host, and C programs to use it. */
import { spawnSync } from 'node:child_process';
import { accessSync, constants, mkdirSync, mkdtempSync, rmdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { programs } from '@vdpalab/cli';
import { mountLab, type Mounted } from '@vdpalab/fusefs';
import { createLab, type Lab, type LabOptions } from '@vdpalab/lab';
import { hostAvailable } from '@vdpalab/libc';
import { Player } from '@vdpalab/shell';
import type { TestContext } from 'vitest';

const required = process.env['VDPALAB_REQUIRE_REAL'] === '1';

function unavailable(): string | null {
  if (process.platform !== 'linux' || process.arch !== 'x64') return 'this needs Linux on x86-64';
  if (process.getuid?.() !== 0) return 'mounting needs root';
  try {
    accessSync('/dev/fuse', constants.R_OK | constants.W_OK);
  } catch {
    return '/dev/fuse is missing';
  }
  if (!hostAvailable()) return 'koffi is not installed';
  return spawnSync('gcc', ['--version']).status === 0 ? null : 'gcc is not installed';
}

/** Why no real process can use a mounted lab here; `null` when one can. */
export const unreal = unavailable();

/** Skip with the reason; fail where the real thing is required. */
export function needsReal(context: TestContext): void {
  if (unreal === null) return;
  if (required) throw new Error(unreal);
  context.skip(unreal);
}

/** A lab that real processes use. */
export interface MountedLab {
  readonly lab: Lab;
  readonly dir: string;
  /** Run a line in the lab's own shell. @returns its output. @throws Error when it fails */
  readonly sh: (command: string) => Promise<readonly string[]>;
  /** What the mount has complained of. */
  readonly bugs: readonly string[];
  /** Compile a program of testdata. @returns its path */
  readonly program: (source: string) => string;
  /** @returns what is left behind */
  readonly close: () => Promise<string[]>;
}

/** Boot, load modules, mount. */
export async function mountedLab(options: LabOptions, modules: readonly string[]): Promise<MountedLab> {
  const lab = await createLab({ clock: 'paced', ...options });
  const player = await Player.open(lab, { applets: programs });
  const sh = async (command: string): Promise<readonly string[]> => {
    const { out } = await player.play(command);
    if (out.at(-1) !== 'exit: 0') throw new Error(`${command}: ${out.join('\n')}`);
    return out.slice(0, -1);
  };
  for (const module of modules) await sh(`modprobe ${module}`);
  const base = mkdtempSync(join(tmpdir(), 'vdpalab-real-'));
  const dir = join(base, 'lab');
  mkdirSync(dir);
  const bugs: string[] = [];
  const mounted: Mounted = await mountLab(lab, dir, { onBug: (text) => bugs.push(text) });
  return {
    lab, dir, sh, bugs,
    program: (source) => {
      const binary = join(base, basename(source, '.c'));
      const path = fileURLToPath(new URL(`../../testdata/${source}`, import.meta.url));
      const { status, stderr } = spawnSync('gcc', ['-O1', '-Wall', '-o', binary, path], { encoding: 'utf8' });
      if (status !== 0) throw new Error(`gcc ${source}: ${stderr}`);
      return binary;
    },
    close: async () => {
      await mounted.unmount();
      rmdirSync(dir); // fails when it is still mounted
      rmSync(base, { recursive: true });
      await player.close();
      return [...await lab.close(), ...bugs];
    },
  };
}
