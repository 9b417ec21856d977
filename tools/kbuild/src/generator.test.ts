import { readJson } from '@nx/devkit';
import type { Tree } from '@nx/devkit';
import { createTreeWithEmptyWorkspace } from '@nx/devkit/testing';
import { parseAst } from 'rolldown/parseAst';
import { beforeEach, describe, expect, test } from 'vitest';
import moduleGenerator from './generators/module/generator.js';

let tree: Tree;
beforeEach(() => {
  tree = createTreeWithEmptyWorkspace();
  tree.write('tsconfig.json', JSON.stringify({ files: [], references: [{ path: './modules/driver-core' }, { path: './modules/vhost' }, { path: './tools/abi' }] }));
  tree.write('modules/vdpa-core/package.json', '{}');
  tree.write('modules/vdpa-core/src/module.ts', `export default defineModule({ name: 'vdpa', exports: [...more, 'vdpa_set_status'], exportsGpl: ['vdpa_x'] });`);
  tree.write('modules/pci/package.json', '{}');
  tree.write('modules/pci/src/header.ts', 'export interface PciDev { a: 1 }\nexport interface PciSymbols { pci_find: () => PciDev; }');
  tree.write('modules/driver-core/package.json', '{}');
  tree.write('modules/types-only/src/header.ts', 'export interface X { a: 1 }');
});

describe('the module generator', () => {
  test('writes a package with header, module, test and README, and refers to it from the root', async () => {
    await moduleGenerator(tree, { name: 'eni-vdpa', place: 'drivers/vdpa/alibaba', needs: '' });
    expect(tree.children('modules/eni-vdpa').sort()).toEqual(['README.md', 'package.json', 'src', 'tsconfig.json']);
    expect(tree.children('modules/eni-vdpa/src').sort()).toEqual(['header.ts', 'module.test.ts', 'module.ts']);
    expect(readJson(tree, 'modules/eni-vdpa/package.json')).toMatchObject({
      name: '@vdpalab/eni-vdpa', kbuild: 'drivers/vdpa/alibaba', exports: { '.': { types: './dist/header.d.ts' } }, dependencies: { '@vdpalab/abi': '0.1.0' },
    });
    expect(readJson(tree, 'tsconfig.json').references).toEqual([
      { path: './modules/driver-core' }, { path: './modules/eni-vdpa' }, { path: './modules/vhost' }, { path: './tools/abi' },
    ]);
    for (const file of ['header', 'module', 'module.test']) {
      expect(() => parseAst(tree.read(`modules/eni-vdpa/src/${file}.ts`, 'utf8') ?? '', { lang: 'ts' })).not.toThrow();
    }
    expect(tree.read('modules/eni-vdpa/src/module.ts', 'utf8')).toContain(`name: 'eni_vdpa'`);
  });

  test('declares what is needed in package.json, tsconfig.json and imports alike', async () => {
    await moduleGenerator(tree, { name: 'eni-vdpa', needs: 'vdpa-core, pci' });
    expect(Object.keys(readJson(tree, 'modules/eni-vdpa/package.json').dependencies)).toEqual(['@vdpalab/abi', '@vdpalab/pci', '@vdpalab/vdpa-core']);
    expect(readJson(tree, 'modules/eni-vdpa/tsconfig.json').references).toContainEqual({ path: '../vdpa-core' });
    expect(tree.read('modules/eni-vdpa/src/module.ts', 'utf8')).toContain(`imports: ['_printk', 'vdpa_set_status', 'pci_find']`);
    expect(tree.read('modules/eni-vdpa/src/module.test.ts', 'utf8')).toContain(`pci_find: unused('pci_find')`);
  });

  test.each([
    [{ name: 'Eni' }, 'lower case with hyphens'],
    [{ name: 'eni_vdpa' }, 'lower case with hyphens'],
    [{ name: '../x' }, 'lower case with hyphens'],
    [{ name: 'driver-core' }, 'modules/driver-core exists'],
    [{ name: 'x', needs: 'nothing' }, 'modules/nothing: no such package'],
    [{ name: 'x', needs: 'vdpa' }, 'modules/vdpa: no such package; the module vdpa is in the package vdpa-core'],
    [{ name: 'x', needs: 'types-only' }, 'exports no symbol'],
  ])('refuses %j and writes nothing', async (options, message) => {
    const before = tree.listChanges().length;
    await expect(moduleGenerator(tree, options)).rejects.toThrow(message);
    expect(tree.listChanges().length).toBe(before);
  });
});
