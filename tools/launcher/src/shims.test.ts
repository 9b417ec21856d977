import { accessSync, constants, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { labPaths } from './runtime-dir.ts';
import { programDirs, shimNames, writePrograms, writeProgramsByPath } from './shims.ts';

it('puts the lab\'s programs before the caller\'s, but for kinds whose calls are trapped', () => {
  expect(programDirs('/bin', [])).toEqual({ front: ['/bin'], back: [] });
  expect(programDirs('/bin', ['netlink'])).toEqual({ front: ['/bin/modules', '/bin/log', '/bin/files'], back: ['/bin/netlink'] });
  expect(programDirs('/bin', ['netlink', 'modules', 'log'])).toEqual({ front: ['/bin/files'], back: ['/bin/modules', '/bin/netlink', '/bin/log'] });
});

it('writes every program to the directory of all and to that of its kind', () => {
  const root = mkdtempSync(join(tmpdir(), 'vdpalab-shims-'));
  const paths = labPaths('x', root);
  writePrograms(paths);
  const kinds = ['files', 'log', 'modules', 'netlink'];
  const all = [...shimNames, 'lab'].sort();
  expect(readdirSync(paths.bin).filter((name) => !kinds.includes(name)).sort()).toEqual(all);
  expect(kinds.flatMap((kind) => readdirSync(join(paths.bin, kind))).sort()).toEqual(all);
  for (const name of all) accessSync(join(paths.bin, name), constants.X_OK);
  rmSync(root, { recursive: true });
});

it('keeps a copy of each program that it puts another over, under all of its names', () => {
  const root = mkdtempSync(join(tmpdir(), 'vdpalab-shims-'));
  const paths = labPaths('x', root);
  mkdirSync(paths.dir);
  const mounts = [...writeProgramsByPath(paths).matchAll(/^mount -n --bind '(.*)' '(.*)'$/gm)].map(([, from, over]) => [from, over] as const);
  for (const [from, over] of mounts) {
    accessSync(from!, constants.X_OK);
    expect(readFileSync(join(paths.dir, 'host', over!.replace(/.*\//, '')))).toEqual(readFileSync(over!));
  }
  for (const name of readdirSync(join(paths.dir, 'host'))) accessSync(join(paths.dir, 'host', name), constants.X_OK);
  rmSync(root, { recursive: true });
});
