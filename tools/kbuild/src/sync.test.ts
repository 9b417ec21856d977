import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { sync } from './sync.js';

let root = '';
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'sync-'));
  write('tools/abi/package.json', { name: '@vdpalab/abi' });
  write('tools/abi/tsconfig.json', { references: [] });
  write('modules/x/package.json', { name: '@vdpalab/x', dependencies: { '@vdpalab/abi': '0.1.0', zod: '4' }, devDependencies: { '@vdpalab/y': '0.1.0' } });
  write('modules/x/tsconfig.json', { extends: '../../tsconfig.base.json', compilerOptions: { types: ['node'] } });
  write('modules/y/package.json', { name: '@vdpalab/y' });
  write('modules/y/tsconfig.json', { references: [] });
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

function write(file: string, json: object): void {
  mkdirSync(dirname(join(root, file)), { recursive: true });
  writeFileSync(join(root, file), JSON.stringify(json));
}
const read = (file: string): unknown => JSON.parse(readFileSync(join(root, file), 'utf8'));

describe('sync', () => {
  test('writes references from dependencies and devDependencies, and keeps the rest of the file', () => {
    expect(sync(root, { check: false })).toEqual(['tsconfig.json', 'modules/x/tsconfig.json']);
    expect(read('modules/x/tsconfig.json')).toEqual({
      extends: '../../tsconfig.base.json', compilerOptions: { types: ['node'] }, references: [{ path: '../../tools/abi' }, { path: '../y' }],
    });
    expect(read('tsconfig.json')).toEqual({ files: [], references: [{ path: './modules/x' }, { path: './modules/y' }, { path: './tools/abi' }] });
    expect(sync(root, { check: true })).toEqual([]);
  });

  test('with check lists the stale files and writes nothing', () => {
    sync(root, { check: false });
    write('modules/y/package.json', { name: '@vdpalab/y', dependencies: { '@vdpalab/abi': '0.1.0' } });
    expect(sync(root, { check: true })).toEqual(['modules/y/tsconfig.json']);
    expect(read('modules/y/tsconfig.json')).toEqual({ references: [] });
  });

  test('does not mind the order of references', () => {
    sync(root, { check: false });
    write('modules/x/tsconfig.json', { references: [{ path: '../y' }, { path: '../../tools/abi' }] });
    expect(sync(root, { check: true })).toEqual([]);
  });

  test('names the package that does not exist', () => {
    write('modules/y/package.json', { name: '@vdpalab/y', dependencies: { '@vdpalab/z': '0.1.0' } });
    expect(() => sync(root, { check: true })).toThrow('modules/y/package.json: no package @vdpalab/z');
  });
});
