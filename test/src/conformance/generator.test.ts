/** What the generator writes builds, loads and passes its own test, at once. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { createTreeWithEmptyWorkspace } from '@nx/devkit/testing';
import type { ModInfo } from '@vdpalab/abi';
import moduleGenerator from '@vdpalab/kbuild/module-generator';
import { startModule, unused } from '@vdpalab/testing';
import type { Startable } from '@vdpalab/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { root } from './workspace.ts';

let copy = '';
let info: ModInfo;

beforeAll(async () => {
  copy = mkdtempSync(join(tmpdir(), 'generated-'));
  const tree = createTreeWithEmptyWorkspace();
  tree.write('modules/sched/src/module.ts', readFileSync(join(root, 'modules/sched/src/module.ts'), 'utf8'));
  await moduleGenerator(tree, { name: 'eni-vdpa', needs: 'sched', place: 'drivers/vdpa/alibaba' });
  for (const change of tree.listChanges()) {
    if (!change.path.startsWith('modules/eni-vdpa/') || change.content === null) continue;
    mkdirSync(dirname(join(copy, change.path)), { recursive: true });
    writeFileSync(join(copy, change.path), change.content);
  }
  for (const file of ['tools', 'test', 'node_modules', 'tsconfig.base.json', 'package.json', 'vitest.config.ts']) symlinkSync(join(root, file), join(copy, file));
  for (const name of readdirSync(join(root, 'modules'))) symlinkSync(join(root, 'modules', name), join(copy, 'modules', name));
});
afterAll(() => rmSync(copy, { recursive: true, force: true }));

describe('a generated module', () => {
  test('builds', () => {
    execFileSync(join(root, 'node_modules/.bin/tsc'), ['-p', 'modules/eni-vdpa'], { cwd: copy, stdio: 'pipe' });
    expect(readdirSync(join(copy, 'modules/eni-vdpa/dist'))).toEqual(expect.arrayContaining(['module.js', 'header.d.ts']));
  });

  test('gets its modinfo.json, with the CRC of what it imports', async () => {
    const { writeModinfo } = (await import(pathToFileURL(join(root, 'tools/kbuild/src/modinfo.js')).href)) as {
      writeModinfo: (root: string, only: readonly string[]) => Promise<string[]>;
    };
    expect((await writeModinfo(copy, ['modules/eni-vdpa'])).filter((problem) => problem.includes('eni-vdpa'))).toEqual([]);
    info = JSON.parse(readFileSync(join(copy, 'modules/eni-vdpa/dist/modinfo.json'), 'utf8')) as ModInfo; // written two lines above
    expect(info.path).toBe('kernel/drivers/vdpa/alibaba/eni_vdpa.ko');
    expect(info.imports.map((i) => typeof i.crc)).toEqual(['number', 'number']);
  });

  test('starts and leaves', async () => {
    const { default: module } = (await import(pathToFileURL(join(copy, 'modules/eni-vdpa/dist/module.js')).href)) as {
      default: Startable<Record<string, unknown>, Record<never, never>, { eni_vdpa_loaded: () => boolean }>;
    };
    const log: string[] = [];
    const symbols = Object.fromEntries(info.imports.map(({ name }) => [name, unused(name) as unknown]));
    const running = await startModule(module, { ...symbols, _printk: (_level: number, text: string) => void log.push(text) });
    expect(running.ksymtab.eni_vdpa_loaded()).toBe(true);
    await running.exit();
    expect(log).toEqual(['eni_vdpa: loaded', 'eni_vdpa: unloaded']);
  });

  test('passes its own test', () => {
    const out = execFileSync(join(root, 'node_modules/.bin/vitest'), ['run', 'modules/eni-vdpa/', '--root', copy, '--reporter', 'json'], {
      cwd: copy, encoding: 'utf8', env: { ...process.env, CI: undefined, VITEST: undefined },
    });
    expect(JSON.parse(out.slice(out.indexOf('{')))).toMatchObject({ numPassedTests: 1, numFailedTests: 0, success: true });
  });
});
