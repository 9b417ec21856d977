import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { allCrcs, writeModinfo } from './modinfo.js';
import { packages } from './workspace.js';

let root = '';
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'kbuild-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

function write(file: string, text: string): void {
  mkdirSync(dirname(join(root, file)), { recursive: true });
  writeFileSync(join(root, file), text);
}

function packageOf(dir: string, entry: string, fields: object = {}): void {
  const name = `@vdpalab/${dir.split('/')[1]}`;
  write(`${dir}/package.json`, JSON.stringify({ name, exports: { '.': { types: `./dist/${entry}` } }, ...fields }));
  write(`${dir}/tsconfig.json`, '{}');
}

const abi = `export interface KernelSymbols extends VmlinuxSymbols {}
export interface VmlinuxSymbols { printk: (text: string) => undefined; }
`;
const low = `import type { Atomic } from '@vdpalab/abi';
/** Filled in above. */
export interface IommuGroup {}
export interface Device { name: string; readonly parent: Device | null; group: IommuGroup | null; }
export interface Bus { readonly devices: ReadonlyMap<string, Device>; }
export interface LowSymbols {
  device_add: (dev: Device) => Promise<void>;
  bus_count: () => number;
  bus_get: (name: string) => Bus | undefined;
}
declare module '@vdpalab/abi' { interface KernelSymbols extends LowSymbols {} }
`;
const high = `import type { Device as Dev } from '@vdpalab/low';
export type { Group } from './group.ts';
import type { Group } from './group.ts';
declare module '@vdpalab/low' { interface IommuGroup { readonly id: number; } }
export interface HighSymbols {
  group_of: (dev: Dev) => Group;
  group_name: (id: number) => string;
  group_flags: () => import('./group.ts').Flags;
}
declare module '@vdpalab/abi' { interface KernelSymbols extends HighSymbols {} }
`;
const group = `export interface Group { readonly id: number; }
export type Flags = 1 | 2;
`;

interface Headers {
  low?: string;
  high?: string;
  group?: string;
}

/** CRCs of a workspace with these headers. */
function crcs(headers: Headers = {}): Record<string, number> {
  packageOf('tools/abi', 'index.d.ts');
  packageOf('modules/low', 'header.d.ts');
  packageOf('modules/high', 'header.d.ts');
  write('tools/abi/dist/index.d.ts', abi);
  write('modules/low/dist/header.d.ts', headers.low ?? low);
  write('modules/high/dist/header.d.ts', headers.high ?? high);
  write('modules/high/dist/group.d.ts', headers.group ?? group);
  return Object.fromEntries(allCrcs(root, packages(root)));
}

/** Symbols whose CRC differs after an edit. */
function changed(headers: Headers): string[] {
  const before = crcs();
  const after = crcs(headers);
  expect(Object.keys(after).sort()).toEqual(Object.keys(before).sort());
  return Object.keys(before).filter((name) => before[name] !== after[name]).sort();
}

function edit(text: string, from: string, to: string): string {
  expect(text).toContain(from);
  return text.replace(from, to);
}

describe('the CRC of a symbol', () => {
  test('exists for every symbol a header declares, those of the abi included', () => {
    expect(Object.keys(crcs()).sort()).toEqual(['bus_count', 'bus_get', 'device_add', 'group_flags', 'group_name', 'group_of', 'printk']);
  });

  test('changes with its own signature, alone', () => {
    expect(changed({ low: edit(low, 'bus_count: () => number', 'bus_count: () => bigint') })).toEqual(['bus_count']);
  });

  test('changes with a struct it reaches, through other structs and other packages', () => {
    expect(changed({ low: edit(low, 'name: string;', 'name: string; id: number;') })).toEqual(['bus_get', 'device_add', 'group_of']);
  });

  test('changes with a struct in another file of its header', () => {
    expect(changed({ group: edit(group, 'readonly id: number', 'readonly id: bigint') })).toEqual(['group_of']);
    expect(changed({ group: edit(group, '1 | 2', '1 | 2 | 4') })).toEqual(['group_flags']);
  });

  test('sees what a header fills in only where that header is included', () => {
    expect(changed({ high: edit(high, 'IommuGroup { readonly id: number; }', 'IommuGroup { readonly id: bigint; }') })).toEqual(['group_of']);
  });

  test('does not change with comments, layout, parameter names, or types nobody reaches', () => {
    const noise = edit(edit(low, '(dev: Device)', '( device :Device )'), '/** Filled in above. */', '// an unreached type:\nexport interface Unused { x: 1 }');
    expect(changed({ low: noise })).toEqual([]);
  });

  test('does not depend on where the workspace lies', () => {
    const here = crcs();
    const other = mkdtempSync(join(tmpdir(), 'kbuild-elsewhere-'));
    rmSync(root, { recursive: true });
    root = other;
    expect(crcs()).toEqual(here);
  });

  test('is refused for one symbol in two headers', () => {
    expect(() => crcs({ high: edit(high, 'group_name:', 'device_add:') })).toThrow(/device_add is declared in .* too/);
  });
});

describe('modinfo.json', () => {
  const define = (fields: object): string =>
    `export default ${JSON.stringify({
      license: 'GPL v2', builtin: false, alias: [], softdep: [], params: {}, imports: [], weakImports: [], importNs: [], exports: [], exportsGpl: [], exportsNs: {}, ...fields,
    })};
    `;
  const runnable = (fields: object, params = '{}'): string =>
    `${define(fields).replace('export default', 'const d =')} d.params = ${params}; d.module_init = () => ({}); export default d;\n`;

  function modules(): void {
    crcs();
    packageOf('modules/low', 'header.d.ts', { kbuild: 'drivers/base', type: 'module' });
    packageOf('modules/high', 'header.d.ts', { kbuild: 'drivers/iommu/high-core.ko', type: 'module' });
    for (const name of ['low', 'high']) write(`modules/${name}/src/module.ts`, '');
    write('modules/low/dist/module.js', runnable({ name: 'low', exports: ['bus_count'], exportsGpl: ['device_add'], exportsNs: { BUS: ['bus_get'] } }));
    write(
      'modules/high/dist/module.js',
      runnable(
        { name: 'high', version: '1.0', imports: ['printk', 'device_add', 'bus_count'], weakImports: ['gone'], exportsGpl: ['group_of'] },
        `{ max: { type: 'int', desc: 'Most', perm: 0o444, default: 3, show: (v) => String(v) } }`,
      ),
    );
  }
  const read = (name: string): Record<string, unknown> => JSON.parse(readFileSync(join(root, `modules/${name}/dist/modinfo.json`), 'utf8'));

  test('holds what depmod, modinfo and the loader ask for', async () => {
    modules();
    write('modules/high/dist/module.test.js', 'x'.repeat(5000));
    write('modules/high/dist/testing/kernel.js', 'x'.repeat(5000));
    const known = Object.fromEntries(allCrcs(root, packages(root)));
    expect(await writeModinfo(root, [])).toEqual([]);
    expect(read('high')).toMatchObject({
      name: 'high',
      package: 'high',
      path: 'kernel/drivers/iommu/high-core.ko',
      depends: ['low'],
      params: [{ name: 'max', type: 'int', desc: 'Most', perm: 0o444, default: '3' }],
      exports: [{ name: 'group_of', gpl: true, namespace: null, crc: known['group_of'] }],
      imports: [
        { name: 'printk', weak: false, crc: known['printk'] },
        { name: 'device_add', weak: false, crc: known['device_add'] },
        { name: 'bus_count', weak: false, crc: known['bus_count'] },
        { name: 'gone', weak: true, crc: null },
      ],
    });
    expect(read('high')['srcversion']).toMatch(/^[0-9A-F]{23}$/);
    expect(read('high')['size']).toBe(readFileSync(join(root, 'modules/high/dist/module.js')).length);
    expect(read('low')).toMatchObject({ path: 'kernel/drivers/base/low.ko', srcversion: null, depends: [] });
  });

  test('has the orders of the real .ko where package.json gives them', async () => {
    modules();
    packageOf('modules/high', 'header.d.ts', { kbuild: 'drivers/iommu/high-core.ko', type: 'module', modinfo: { order: ['version', 'license'], depends: ['zero', 'low', 'mid'] } });
    packageOf('modules/mid', 'mid.d.ts', { kbuild: 'drivers/iommu', type: 'module' });
    write('modules/mid/src/module.ts', '');
    write('modules/mid/dist/mid.d.ts', "import '@vdpalab/low';\ndeclare module '@vdpalab/abi' { interface KernelSymbols { mid_f: () => void } }\n");
    write('modules/mid/dist/module.js', runnable({ name: 'mid', exports: ['mid_f'] }));
    write('modules/high/dist/module.js', runnable({ name: 'high', version: '1.0', description: 'High', softdep: ['pre: a'], imports: ['mid_f', 'device_add'], exportsGpl: ['group_of'] }));
    await writeModinfo(root, []);
    expect(read('high')).toMatchObject({
      depends: ['low', 'mid'], fields: [['softdep', 'pre: a'], ['version', '1.0'], ['license', 'GPL v2'], ['description', 'High']],
    });
  });

  test('comes with a Module.symvers in the format of depmod -E', async () => {
    modules();
    await writeModinfo(root, []);
    const lines = readFileSync(join(root, 'out/Module.symvers'), 'utf8').split('\n');
    expect(lines[0]).toMatch(/^0x[0-9a-f]{8}\tprintk\tvmlinux\tEXPORT_SYMBOL\t$/);
    expect(lines[1]).toMatch(/^0x[0-9a-f]{8}\tgroup_of\tdrivers\/iommu\/high-core\tEXPORT_SYMBOL_GPL\t$/);
    expect(lines.find((l) => l.includes('bus_get'))).toMatch(/\tEXPORT_SYMBOL_GPL\tBUS$/);
    expect(lines.find((l) => l.includes('bus_count'))).toMatch(/\tEXPORT_SYMBOL\t$/);
  });

  test('is refused for an export no header declares, and the other modules get theirs', async () => {
    modules();
    write('modules/low/dist/module.js', runnable({ name: 'low', exports: ['bus_cuont'] }));
    expect(await writeModinfo(root, [])).toEqual(['modules/low: exports bus_cuont, which no header declares']);
    expect(read('high')['name']).toBe('high');
  });

  test('is refused for a loadable module without a place in the tree', async () => {
    modules();
    packageOf('modules/low', 'header.d.ts', { type: 'module' });
    expect(await writeModinfo(root, [])).toEqual([expect.stringContaining('modules/low/package.json: "kbuild" is missing')]);
  });

  test('is refused for a module.ts without a module', async () => {
    modules();
    write('modules/low/dist/module.js', 'export const low = 1;\n');
    expect(await writeModinfo(root, [])).toEqual([expect.stringContaining('modules/low/src/module.ts: the default export is not a module')]);
  });
});
