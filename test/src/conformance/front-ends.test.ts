/** What drives devices knows no parent: one suite, and the same drivers in processes, for all of them. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { covers } from '@vdpalab/testing';
import { expect, test } from 'vitest';
import { builtModules, root } from './workspace.ts';

/** Modules that make vDPA devices: they allocate them, or have the simulators' core do it. */
const parents = builtModules().filter(({ info }) => info.imports.some(({ name }) => name === '__vdpa_alloc_device' || name === 'vdpasim_create'));

/** Sources of a folder, without tests. */
function sources(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts') && !file.split('/').includes('dist'))
    .map((file) => join(folder, file));
}

test('the suite of parents and the drivers in processes name no parent', () => {
  covers('1.9.2');
  const names = parents.map(({ info }) => info.name);
  expect(names).toEqual(expect.arrayContaining(['ifcvf', 'siov_adi', 'vdpa_sim_net', 'vp_vdpa', 'vduse']));
  const files = [...sources('tools/testing/src/vdpa-parent'), ...['user-queue', 'vhost-ioctls', 'vhost-mdev', 'vhost-vdpa', 'virtio-user-blk', 'virtio-user-net'].map((name) => `tools/user/src/${name}.ts`)];
  for (const file of files) {
    const text = readFileSync(join(root, file), 'utf8');
    const named = names.filter((name) => new RegExp(`'${name}(_|')|'${name.replaceAll('_', '-')}'`).test(text));
    expect({ file, named }).toEqual({ file, named: [] });
  }
});

test.each(parents.map(({ info, pkg }) => ({ name: info.name, dir: pkg.dir })))('$name passes that suite', ({ name, dir }) => {
  covers('1.9.2');
  const own = join(root, dir, 'src/conformance.test.ts');
  const elsewhere = join(root, `test/src/conformance/${name.replaceAll('_', '-')}-parent.test.ts`);
  const text = [own, elsewhere].map((file) => {
    try {
      return readFileSync(file, 'utf8');
    } catch {
      return '';
    }
  }).join('');
  expect(text).toContain('describeVdpaParent(');
});
