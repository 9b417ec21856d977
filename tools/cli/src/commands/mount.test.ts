/** `vdpalab mount` as a person starts and ends it. */
import { spawn } from 'node:child_process';
import { accessSync, constants, mkdtempSync, readFileSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import type { TestContext } from 'vitest';

const command = fileURLToPath(new URL('../../bin/vdpalab.js', import.meta.url));

function needsFuse(context: TestContext): void {
  let reason = process.getuid?.() === 0 ? null : 'mounting needs root';
  try {
    accessSync('/dev/fuse', constants.R_OK | constants.W_OK);
  } catch {
    reason = '/dev/fuse is missing';
  }
  if (reason === null) return;
  if (process.env['VDPALAB_REQUIRE_REAL'] === '1') throw new Error(reason);
  context.skip(reason);
}

/** Run the command; `whenServing` is called with its first line. @returns what it printed, and its exit status */
function mount(args: readonly string[], whenServing: (kill: (signal: NodeJS.Signals) => void) => void): Promise<{ out: string; err: string; status: number | null }> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [command, 'mount', ...args], { stdio: ['ignore', 'pipe', 'pipe'], timeout: 50_000, killSignal: 'SIGKILL' });
    let out = '';
    let err = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      if (out === '') whenServing((signal) => void child.kill(signal));
      out += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      err += text;
    });
    child.on('close', (status) => resolve({ out, err, status }));
  });
}

describe('vdpalab mount', () => {
  test.for(['SIGINT', 'SIGTERM', 'SIGHUP', 'umount'] as const)('says what it serves, and ends in good order by %s', async (how, context) => {
    needsFuse(context);
    const dir = mkdtempSync(join(tmpdir(), 'vdpalab-mount-'));
    const { out, err, status } = await mount([dir], (kill) => {
      if (how === 'umount') spawn('umount', [dir]);
      else kill(how);
    });
    expect(out).toBe(`${dir}: the files of a lab of Linux 6.1.0-vdpalab, until Ctrl-C or umount ${dir}\n`);
    expect(err).toBe('');
    expect(status).toBe(0);
    expect(readFileSync('/proc/self/mounts', 'utf8')).not.toContain(dir);
    rmdirSync(dir);
  });

  test('says what is wrong, with status 2', async () => {
    const never = (): void => {
      throw new Error('it serves');
    };
    expect(await mount(['/nonexistent'], never)).toEqual({ out: '', err: 'vdpalab: /nonexistent: there is no such directory\n', status: 2 });
    expect(await mount(['--lab', '/nonexistent.yaml', tmpdir()], never)).toMatchObject({ out: '', err: expect.stringContaining('/nonexistent.yaml'), status: 2 });
    expect(await mount([fileURLToPath(new URL('.', import.meta.url))], never)).toMatchObject({ out: '', err: expect.stringMatching(/commands: not empty\n$/), status: 2 });
  });
});
