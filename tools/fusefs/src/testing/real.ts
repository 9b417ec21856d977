/** What tests with the host's own FUSE need: whether it is there, directories, programs that cannot hang the test. */
import { execFile } from 'node:child_process';
import { accessSync, constants, mkdtempSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'vitest';

/** Whether it is an error when the real thing is missing. */
const required = process.env['VDPALAB_REQUIRE_REAL'] === '1';

/** Why nothing can be mounted here, if so. */
function unavailable(): string | undefined {
  if (process.platform !== 'linux') return 'FUSE needs Linux';
  if (process.getuid?.() !== 0) return 'mounting needs root';
  try {
    accessSync('/dev/fuse', constants.R_OK | constants.W_OK);
  } catch {
    return '/dev/fuse is missing';
  }
  return undefined;
}

/** The reason, found once. */
export const reason = unavailable();

/** Skips with the reason; fails instead where the real thing is required. */
export function needsFuse(context: TestContext): void {
  if (reason === undefined) return;
  if (required) throw new Error(reason);
  context.skip(reason);
}

/** A new empty directory. */
export function emptyDirectory(): string {
  return mkdtempSync(join(tmpdir(), 'vdpalab-fuse-'));
}

/** Remove a directory that nothing is mounted on; fails otherwise. */
export function removeDirectory(dir: string): void {
  rmdirSync(dir);
}

/** What a program did. */
export interface Outcome {
  readonly stdout: string;
  readonly stderr: string;
  /** Exit status; of one that was killed, 128 and the signal. */
  readonly status: number;
}

/** Run a script of bash; never synchronously, since this process serves what the script looks at. `$1` and on are `argv`. */
export function bash(script: string, ...argv: readonly string[]): Promise<Outcome> {
  return new Promise((resolve) => {
    const command = ['-s', 'KILL', '20', 'bash', '-c', script, 'bash', ...argv];
    execFile('timeout', command, { encoding: 'utf8', env: { ...process.env, LC_ALL: 'C' } }, (error, stdout, stderr) => {
      resolve({ stdout, stderr, status: error === null ? 0 : typeof error.code === 'number' ? error.code : 128 });
    });
  });
}
