import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ModInfo } from '@vdpalab/abi';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { watch } from './watch.ts';

/** Below the workspace, as what modules import must be found from there. */
const out = fileURLToPath(new URL('../../../../out/', import.meta.url));
let folder = '';
beforeAll(() => {
  mkdirSync(out, { recursive: true });
  folder = mkdtempSync(join(out, 'watch-test-'));
});
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
  for (const name of readdirSync(join(out, 'watch'))) if (name.startsWith('toy-')) rmSync(join(out, 'watch', name), { recursive: true });
});

const info = (name: string, imports: readonly string[], exports: readonly string[]): ModInfo => ({
  name: name.replace('-', '_'), package: name, path: `kernel/drivers/misc/${name.replace('-', '_')}.ko`, builtin: false, license: 'GPL', description: null,
  author: null, version: null, srcversion: null, vermagic: '6.1.0-vdpalab SMP preempt mod_unload modversions ',
  depends: imports.includes('toy_symbol') ? ['toy_below'] : [], alias: [], softdep: [], importNs: [], params: [],
  exports: exports.map((e) => ({ name: e, gpl: true, namespace: null, crc: 7 })), imports: imports.map((i) => ({ name: i, weak: false, crc: i === 'toy_symbol' ? 7 : null })),
  size: 100,
});

/** A built package that says `text` when it is loaded. */
function build(name: string, text: string, more: { imports?: readonly string[]; exports?: readonly string[]; fails?: boolean } = {}): string {
  const { imports = [], exports = [], fails = false } = more;
  const dir = join(folder, name);
  mkdirSync(join(dir, 'dist'), { recursive: true });
  writeFileSync(join(dir, 'package.json'), JSON.stringify({ name, type: 'module' }));
  writeFileSync(join(dir, 'dist/modinfo.json'), JSON.stringify(info(name, ['_printk', ...imports], exports)));
  writeFileSync(join(dir, 'dist/module.js'), `
    import { defineModule, KernelError } from '@vdpalab/abi';
    export default defineModule({
      name: '${name.replace('-', '_')}', license: 'GPL', imports: ${JSON.stringify(['_printk', ...imports])}, exportsGpl: ${JSON.stringify(exports)},
      module_init(k) {
        k._printk(6, ${JSON.stringify(text)});
        ${fails ? "throw new KernelError('EIO', 'toy.init', 'no');" : ''}
        return { ksymtab: { ${exports.map((e) => `${e}: () => 1`).join()} }, module_exit: () => undefined };
      },
    });`);
  return dir;
}

/** Watch while `steps` happen one after the other. @returns what is printed, and the verdict */
async function watched(name: string, steps: readonly (() => void)[], more: { scenario?: string; builds?: string[] } = {}): Promise<{ text: string; good: boolean }> {
  const printed: string[] = [];
  const lab = join(folder, 'lab.yaml');
  writeFileSync(lab, `modules: {only: [], extra: [${readdirSync(folder).filter((f) => f.startsWith('toy-')).map((f) => join(folder, f)).join()}]}\n`);
  async function* changes(): AsyncGenerator<undefined> {
    for (const step of steps) {
      step();
      yield undefined;
    }
  }
  const builds = [...more.builds ?? []];
  const good = await watch(name, {
    dir: join(folder, name), lab, changes: changes(), build: () => builds.shift() ?? '', out: (text) => void printed.push(text),
    ...(more.scenario === undefined ? {} : { scenario: more.scenario }),
  });
  return { text: printed.join(''), good };
}

describe('a watched module', () => {
  it('is taken out and its new build loaded, with whoever uses it', async () => {
    build('toy-below', 'toy: one', { exports: ['toy_symbol'] });
    build('toy-user', 'toy: user', { imports: ['toy_symbol'] });
    const scenario = join(folder, 'user.txt');
    writeFileSync(scenario, '$ modprobe toy-user\nexit: 0\n');
    const { text, good } = await watched('toy-below', [
      () => void build('toy-below', 'toy: two', { exports: ['toy_symbol'] }),
    ], { scenario });
    expect(text).toContain('user.txt: 0 of 1 commands as the transcript says'); // the first time: the log is not in it
    expect(text).toContain('user.txt: 1 of 1 commands as the transcript says');
    expect(good).toBe(true); // the last round counts
    expect(text).toMatch(/# toy_below [0-9a-f]{12}\n/);
    expect(text).toMatch(/\$ rmmod toy_user toy_below\n# toy_below [0-9a-f]{12}\n\$ insmod .*toy_below\.ko\ndmesg: kern {2}:info {2}: toy: two\n\$ modprobe toy_user\n/);
  });

  it('is left alone while nothing changes, and while it does not compile', async () => {
    build('toy-alone', 'toy: alone');
    const { text, good } = await watched('toy-alone', [() => undefined, () => undefined], { builds: ['', 'src/module.ts(3,1): error\n'] });
    expect(text.match(/modprobe toy_alone/g)).toHaveLength(1);
    expect(text).toContain('src/module.ts(3,1): error');
    expect(good).toBe(false);
  });

  it('that fails to load says so, and loads again once it is mended', async () => {
    build('toy-alone', 'toy: alone');
    const { text, good } = await watched('toy-alone', [
      () => void build('toy-alone', 'toy: broken', { fails: true }), () => void build('toy-alone', 'toy: mended'),
    ]);
    expect(text).toMatch(/toy: broken\n/);
    expect(text).toContain("insmod: ERROR: could not insert module");
    expect(text).toMatch(/\$ modprobe toy_alone\ndmesg: .*toy: mended\n$/);
    expect(good).toBe(true);
  });
});
