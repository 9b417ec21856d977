/** The same lines in the host's bash and coreutils and in the lab's shell. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { dashSnippets } from './testing/dash-snippets.ts';
import { script } from './testing/generated.ts';
import { jobSnippets } from './testing/job-snippets.ts';
import { snippets as languageSnippets } from './testing/snippets.ts';
import { toolSnippets } from './testing/tool-snippets.ts';
import { testShell, type TestShell } from './testing/shell-kernel.ts';

const present = spawnSync('bash', ['-c', '[[ $BASH_VERSION == 5.* ]] && ls --version | grep -q coreutils']).status === 0;
const required = process.env['VDPALAB_REQUIRE_REAL'] === '1';

/** Processes have other numbers, and bash repeats the line it cannot parse. */
function normal(text: string): string {
  return text.replace(/^bash: (-c: |eval: )?line \d+: `.*'\n/gm, '').replace(/^bash: (-c: |eval: )?line \d+: (syntax error|unexpected EOF)/gm, 'bash: $2')
    .replace(/^(bash: line \d+: ) *\d+ (?=[A-Z][a-z]+ )/gm, '$1PID ');
}

test.runIf(present || required)('bash 5 and coreutils are there to compare with', () => {
  expect(present).toBe(true);
});

/** Runs every snippet in a directory of its own. One shell starts them all: starting each from here is slow. */
const DRIVER = `cd "$1" || exit
for f in *.sh; do i=\${f%.sh}; mkdir $i.d
  (cd $i.d; exec "$2" -c "$(cat ../$f)" >../$i.out 2>../$i.err </dev/null); echo $? >$i.rc
done`;

const dashIsSh = spawnSync('sh', ['-c', 'readlink -f /bin/sh']).stdout?.toString().trim().endsWith('/dash') === true;

/** The same ones each time, unless a seed is given. */
const seed = Number(process.env['VDPALAB_SEED'] ?? 1);
const generated = fc.sample(script, { numRuns: Number(process.env['VDPALAB_RUNS'] ?? 200), seed });

describe.runIf(present).each([['bash', generated], ['bash', [...languageSnippets, ...jobSnippets, ...toolSnippets]], ['sh', dashIsSh ? dashSnippets : []]] as const)('like %s and coreutils', (shell, snippets: readonly string[]) => {
  let lab: TestShell;
  let host: string;

  beforeAll(async () => {
    lab = await testShell();
    host = mkdtempSync(join(tmpdir(), 'shell-'));
    for (const [i, text] of snippets.entries()) writeFileSync(join(host, `${i}.sh`), text);
    spawnSync('bash', ['-c', DRIVER, 'driver', host, shell], { env: { PATH: process.env['PATH'] ?? '', LC_ALL: 'C', TZ: 'UTC', HOME: '/root' } });
  }, 120_000);
  afterAll(() => rmSync(host, { recursive: true }));

  test.each(snippets.map((text, i) => [text, i] as const))('%s', async (text, i) => {
    const real = (part: string): string => readFileSync(join(host, `${i}.${part}`), 'utf8');
    await lab.sh('cd /; rm -rf /tmp/d; mkdir /tmp/d');
    const { stdout, stderr, status } = await lab.sh(`(cd /tmp/d; unset OLDPWD; exec ${shell} -c "$(cat <<'END_OF_SNIPPET'\n${text}\nEND_OF_SNIPPET\n)" </dev/null)`);
    // Which line bash tells of in a substitution inside another is its own affair.
    const lineless = (out: string): string => (snippets === generated ? out.replace(/^(bash|environment): line \d+: /gm, 'bash: ') : out);
    const clean = (out: string): string => normal(lineless(out)).replaceAll(join(host, `${i}.d`), 'DIR').replaceAll('/tmp/d', 'DIR');
    expect({ stdout: clean(stdout), stderr: clean(stderr), status })
      .toEqual({ stdout: clean(real('out')), stderr: clean(real('err')), status: Number(real('rc')) });
  });
});
