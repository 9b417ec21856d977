import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const workspace = resolve(import.meta.dirname, '../../..');
const IMPORTS = 'no-restricted-imports';
const GLOBALS = 'no-restricted-globals';
const PROPERTIES = 'no-restricted-properties';
const FLOATING = 'no-floating-promises';
const MISUSED = 'no-misused-promises';

/** Code -> the rule that must refuse it; null for what is allowed. All in one lint run, one file each. */
const cases: readonly (readonly [file: string, rule: string | null, code: string])[] = [
  ['modules/x/src/value-of-module.ts', IMPORTS, `import { vdpa } from '@vdpalab/vdpa-core';\nexport const x = vdpa;`],
  ['modules/x/src/side-effect.ts', IMPORTS, `import '@vdpalab/vdpa-core';`],
  ['modules/x/src/re-export.ts', IMPORTS, `export { vdpa } from '@vdpalab/vdpa-core';`],
  ['modules/x/src/lazy.ts', IMPORTS, `export const x = (): unknown => import('@vdpalab/vdpa-core');`],
  ['modules/x/src/node.ts', IMPORTS, `import { readFileSync } from 'node:fs';\nexport const x = readFileSync;`],
  ['modules/x/src/third-party.ts', IMPORTS, `import { pino } from 'pino';\nexport const x = pino;`],
  ['modules/x/src/neighbour.ts', IMPORTS, `import { y } from '../../y/src/y.ts';\nexport const x = y;`],
  ['modules/x/src/tool.ts', IMPORTS, `import { boot } from '@vdpalab/lab';\nexport const x = boot;`],
  ['modules/x/src/types-of-module.ts', null, `import type { VdpaDevice } from '@vdpalab/vdpa-core';\nexport type X = VdpaDevice;`],
  ['modules/x/src/allowed.ts', null, `import { KernelError } from '@vdpalab/abi';\nimport { EINVAL } from '@vdpalab/uapi';\nimport { u16 } from '@vdpalab/vring';\nimport { own } from './own.ts';\nexport const x = [KernelError, EINVAL, u16, own];`],
  ['modules/x/src/deep/allowed.ts', null, `import { own } from '../own.ts';\nexport const x = own;`],
  ['modules/x/src/own.ts', null, `export const own = 1;`],
  ['modules/x/src/types-only.ts', 'consistent-type-imports', `import { KernelError } from '@vdpalab/abi';\nexport type X = KernelError;`],

  ['modules/x/src/all.ts', GLOBALS, `export const x = (a: Promise<void>[]): unknown => Promise.all(a);`],
  ['modules/x/src/new-promise.ts', GLOBALS, `export const x = (): unknown => new Promise<void>(() => undefined);`],
  ['modules/x/src/promise-type.ts', null, `export type X = () => Promise<void>;`],
  ['modules/x/src/date.ts', GLOBALS, `export const x = (): number => Date.now();`],
  ['modules/x/src/timer.ts', GLOBALS, `export const x = (): unknown => setTimeout(() => undefined, 1);`],
  ['modules/x/src/microtask.ts', GLOBALS, `export const x = (): unknown => queueMicrotask(() => undefined);`],
  ['modules/x/src/process.ts', GLOBALS, `export const x = (): unknown => process.env;`],
  ['modules/x/src/console.ts', GLOBALS, `export const x = (): unknown => console.log('x');`],
  ['modules/x/src/through-global.ts', GLOBALS, `export const x = (): unknown => globalThis;`],
  ['modules/x/src/weak.ts', GLOBALS, `export const x = (o: object): unknown => new WeakRef(o);`],
  ['modules/x/src/random.ts', PROPERTIES, `export const x = (): number => Math.random();`],
  ['modules/x/src/then.ts', PROPERTIES, `export const x = (p: Promise<number>): unknown => p.then((n) => n + 1);`],
  ['modules/x/src/dropped.ts', FLOATING, `async function f(): Promise<void> {}\nexport function x(): undefined {\n  f();\n}`],
  ['modules/x/src/void.ts', FLOATING, `async function f(): Promise<void> {}\nexport function x(): undefined {\n  void f();\n}`],
  ['modules/x/src/async-callback.ts', MISUSED, `async function f(): Promise<void> {}\nexport function x(a: number[]): undefined {\n  a.forEach(async () => {\n    await f();\n  });\n}`],
  ['modules/x/src/promise-as-condition.ts', MISUSED, `async function f(): Promise<boolean> {\n  return true;\n}\nexport function x(): number {\n  return f() ? 1 : 0;\n}`],
  ['modules/x/src/any.ts', 'no-explicit-any', `export const x = (a: any): unknown => a;`],

  ['modules/x/src/module.test.ts', null, `import { expect } from 'vitest';\nexport const x = (): unknown => Promise.resolve(expect);`],
  ['tools/vring/src/node.ts', IMPORTS, `import { readFileSync } from 'node:fs';\nexport const x = readFileSync;`],
  ['tools/vring/src/abi.ts', IMPORTS, `import { KernelError } from '@vdpalab/abi';\nexport const x = KernelError;`],
  ['tools/uapi/src/vring.ts', IMPORTS, `import { u16 } from '@vdpalab/vring';\nexport const x = u16;`],
  ['tools/lab/src/node.ts', null, `import { readFileSync } from 'node:fs';\nexport const x = readFileSync;`],
  ['tools/lab/src/random.ts', PROPERTIES, `export const x = (): number => Math.random();`],
  ['tools/lab/src/dropped.ts', FLOATING, `async function f(): Promise<void> {}\nexport function x(): undefined {\n  f();\n}`],
  ['tools/lab/src/types-only.ts', 'consistent-type-imports', `import { KernelError } from '@vdpalab/abi';\nexport type X = KernelError;`],
];

let root = '';
let found: Map<string, string[]>;

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'fences-'));
  const write = (file: string, text: string): void => {
    mkdirSync(dirname(join(root, file)), { recursive: true });
    writeFileSync(join(root, file), text);
  };
  for (const file of ['.oxlintrc.json', 'tsconfig.base.json']) copyFileSync(join(workspace, file), join(root, file));
  symlinkSync(join(workspace, 'node_modules'), join(root, 'node_modules'));
  for (const [file, , code] of cases) {
    const [room, name] = file.split('/');
    write(`${room}/${name}/tsconfig.json`, '{ "extends": "../../tsconfig.base.json" }');
    write(file, `${code}\n`);
  }
  found = lint();
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** File -> rules that refuse it. */
function lint(): Map<string, string[]> {
  let out = '';
  try {
    out = execFileSync(join(workspace, 'node_modules/.bin/oxlint'), ['--type-aware', '--deny-warnings', '--format', 'unix'], { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  } catch (error) {
    out = (error as { stdout: string }).stdout; // a non-zero exit is what these files ask for
  }
  const rules = new Map<string, string[]>();
  for (const [, file = '', rule = ''] of out.matchAll(/^([^:\n]+):\d+:\d+: .*\[Error\/[a-z]+\(([a-z-]+)\)\]$/gm)) {
    rules.set(file, [...new Set([...(rules.get(file) ?? []), rule])]);
  }
  return rules;
}

describe('the fences', () => {
  test.each(cases.filter(([, rule]) => rule !== null))('refuse %s by %s', (file, rule) => {
    expect(found.get(file) ?? []).toContain(rule);
  });

  test.each(cases.filter(([, rule]) => rule === null))('let %s pass', (file) => {
    expect(found.get(file) ?? []).toEqual([]);
  });
});
