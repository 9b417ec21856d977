/** The guide to the first module, followed to the letter in a copy of the workspace. */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { root } from '../conformance/workspace.ts';

/** Below the workspace, so that node_modules can be hard links; ignored by git and by the tests' own search. */
const copy = join(root, 'out/first-module');
const guide = readFileSync(join(root, 'docs/guides/first-module.md'), 'utf8');

/** The commands of each block of the guide, headed by its section. */
const blocks = [...guide.matchAll(/^## (.+)$|^```(\w*)\n([\s\S]*?)^```$/gm)].reduce<{ section: string; lines: string[] }[]>((found, [, heading, language, block]) => {
  if (heading !== undefined) return [...found, { section: heading, lines: [] }];
  if (language === '') found.at(-1)?.lines.push(...(block ?? '').split('\n').filter((line) => line !== ''));
  return found;
}, []);
const commands = (section: string): string[] => blocks.find((b) => b.section === section)?.lines ?? [];

/** Run a line of the guide as a reader would. */
function follow(line: string, input = ''): string {
  const env = { ...process.env, NX_DAEMON: 'false', CI: undefined, VITEST: undefined, FORCE_COLOR: '0', npm_config_offline: 'true' };
  const { status, stdout, stderr } = spawnSync('bash', ['-c', line], { cwd: copy, encoding: 'utf8', input, env });
  expect(status, `${line}\n${stdout}${stderr}`).toBe(0);
  return stdout;
}

beforeAll(() => {
  rmSync(copy, { recursive: true, force: true });
  mkdirSync(copy, { recursive: true });
  for (const name of readdirSync(root)) {
    if (['node_modules', 'out', '.git', '.nx', 'coverage'].includes(name)) continue;
    cpSync(join(root, name), join(copy, name), {
      recursive: true, preserveTimestamps: true, filter: (path) => !path.includes('/node_modules'), // those are linked below
    });
  }
  const folders = ['node_modules', ...readdirSync(join(root, 'tools')).map((name) => `tools/${name}/node_modules`)];
  follow(`for d in ${folders.join(' ')}; do [ ! -d ${root}/$d ] || cp -al ${root}/$d $d; done; rm -rf node_modules/.vite`);
}, 120_000);
afterAll(() => rmSync(copy, { recursive: true, force: true }));

test('makes a module that builds and passes its test, and loads it into a lab', { timeout: 300_000 }, () => {
  const made = commands('Make it');
  expect(made).toHaveLength(3);
  for (const line of made) follow(line);

  const [build, shell, ...typed] = commands('Load it into a lab');
  expect([build, shell]).toEqual(['npm run build', 'npx vdpalab shell']);
  const said = follow(shell ?? '', typed.map((line) => `${line.replace(/^\$ /, '')}\n`).join(''));
  expect(said).toMatch(/^hello_sched +\d+ +0$/m); // lsmod
  expect(said).toMatch(/^filename: +\/lib\/modules\/.*\/hello_sched\.ko$/m); // modinfo
  expect(said).toContain('hello_sched: loaded');
  expect(said).toContain('hello_sched: unloaded');
});
