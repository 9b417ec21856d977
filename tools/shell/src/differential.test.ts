/** The same lines in the host's bash and coreutils and in the lab's shell. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { snippets } from './testing/snippets.ts';
import { testShell, type TestShell } from './testing/shell-kernel.ts';

const present = spawnSync('bash', ['-c', '[[ $BASH_VERSION == 5.* ]] && ls --version | grep -q coreutils']).status === 0;
const required = process.env['VDPALAB_REQUIRE_REAL'] === '1';

/** Line numbers are left out of the lab's messages, as transcripts leave them out. */
function normal(text: string): string {
  return text.replace(/^bash: (-c: |eval: )?line \d+: `.*'\n/gm, '').replace(/^(bash|environment|eval): (-c: |eval: )?line \d+: /gm, 'bash: ');
}

test.runIf(!present && required)('bash 5 and coreutils are there to compare with', () => {
  expect(present).toBe(true);
});

describe.runIf(present)('like bash and coreutils', () => {
  let lab: TestShell;
  let host: string;

  beforeAll(async () => {
    lab = await testShell();
    host = mkdtempSync(join(tmpdir(), 'shell-'));
  });
  afterAll(() => rmSync(host, { recursive: true }));

  test.each(snippets)('%s', async (text) => {
    const dir = join(host, 'd');
    mkdirSync(dir);
    const real = spawnSync('bash', ['-c', text], {
      cwd: dir, encoding: 'utf8', input: '', env: { PATH: process.env['PATH'] ?? '', LC_ALL: 'C', TZ: 'UTC', HOME: '/root' },
    });
    rmSync(dir, { recursive: true, force: true });
    await lab.sh('rm -rf /tmp/d; mkdir /tmp/d');
    const wrapped = `(cd /tmp/d; unset OLDPWD; eval "$(cat <<'END_OF_SNIPPET'\n${text}\nEND_OF_SNIPPET\n)")`;
    const { stdout, stderr, status } = await lab.sh(wrapped);
    const clean = (s: string): string => normal(s).replaceAll(dir, 'DIR').replaceAll('/tmp/d', 'DIR');
    expect({ stdout: clean(stdout), stderr: clean(stderr), status }).toEqual({ stdout: clean(real.stdout), stderr: clean(real.stderr), status: real.status });
  });
});
