/** What the pages say: links lead somewhere, and the examples run. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { root } from '../conformance/workspace.ts';

const folder = mkdtempSync(join(tmpdir(), 'docs-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const notOurs = new Set(['node_modules', 'dist', 'out', 'coverage', '.nx', '.git']);

/** Pages below a folder, relative to the root. */
function pagesIn(dir: string): string[] {
  return readdirSync(join(root, dir), { withFileTypes: true }).filter((entry) => !notOurs.has(entry.name)).flatMap((entry) => {
    const path = dir === '' ? entry.name : `${dir}/${entry.name}`;
    if (entry.isDirectory()) return pagesIn(path);
    return entry.name.endsWith('.md') ? [path] : [];
  });
}
const pages = pagesIn('');

test('every relative link leads to a file', () => {
  const broken = pages.flatMap((page) => {
    const text = readFileSync(join(root, page), 'utf8').replace(/```[\s\S]*?```|`[^`\n]*`/g, '');
    return [...text.matchAll(/\]\((?!https?:|#|mailto:)([^)#\s]+)[^)]*\)/g)]
      .map(([, target = '']) => target)
      .filter((target) => !existsSync(join(root, dirname(page), decodeURIComponent(target))))
      .map((target) => `${page}: ${target}`);
  });
  expect(broken).toEqual([]);
});

test('every module is in the reading order', () => {
  const text = readFileSync(join(root, 'modules/README.md'), 'utf8');
  const modules = readdirSync(join(root, 'modules')).filter((name) => existsSync(join(root, 'modules', name, 'package.json')));
  expect(modules.filter((name) => !text.includes(`](${name})`))).toEqual([]);
});

test('the scenario of the guide records without a failing command, and leaves nothing', () => {
  const guide = readFileSync(join(root, 'docs/guides/writing-a-scenario.md'), 'utf8');
  const [lab = ''] = /(?<=```yaml\n)[\s\S]*?(?=```)/.exec(guide) ?? [];
  const [script = ''] = /(?<=```\n)# two-functions\.txt\n[\s\S]*?(?=```)/.exec(guide) ?? [];
  writeFileSync(join(folder, 'two-functions.yaml'), lab);
  writeFileSync(join(folder, 'two-functions.txt'), script);
  const vdpalab = (...args: string[]): string => execFileSync(process.execPath, [join(root, 'tools/cli/bin/vdpalab.js'), ...args], { cwd: folder, encoding: 'utf8', stdio: 'pipe' });

  const recorded = vdpalab('record', 'two-functions.txt');
  expect(recorded.match(/^\$ /gm)).toHaveLength(script.match(/^\$ /gm)?.length ?? 0);
  expect(recorded.match(/^exit: [^0]/gm)).toBeNull();
  expect(recorded).toContain('bus/vdpa/drivers/vhost_vdpa');

  writeFileSync(join(folder, 'recorded.txt'), recorded);
  expect(() => vdpalab('run', 'recorded.txt')).not.toThrow();
});
