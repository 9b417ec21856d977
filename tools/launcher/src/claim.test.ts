import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { claim, ownerOf } from './claim.ts';
import { labNames, labPaths, removeLabDir, runtimeRoot } from './runtime-dir.ts';

let root = '';
beforeEach(() => {
  root = join(mkdtempSync(join(tmpdir(), 'vl-')), 'run');
  vi.stubEnv('VDPALAB_RUNTIME_DIR', root);
});
afterEach(() => void vi.unstubAllEnvs());

it('gives a name to one process at a time', () => {
  const paths = claim('a');
  expect(ownerOf(paths)).toBe(process.pid);
  expect(() => claim('a')).toThrow(`a lab named a runs already (process ${process.pid})`);
  expect(claim('b').dir).toBe(join(root, 'b'));
  expect(labNames()).toEqual(['a', 'b']);
  removeLabDir(paths);
  removeLabDir(labPaths('b'));
  expect(existsSync(root)).toBe(false);
});

it('clears away what a process that was killed has left', async () => {
  const child = spawn('sleep', ['60']);
  await once(child, 'spawn');
  const paths = claim('a');
  const stat = readFileSync(`/proc/${child.pid}/stat`, 'latin1');
  writeFileSync(join(paths.dir, 'owner'), `${child.pid} ${stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]}\n`);
  writeFileSync(paths.socket, '');
  expect(() => claim('a')).toThrow('runs already');
  child.kill('SIGKILL');
  await once(child, 'exit');
  expect(ownerOf(paths)).toBeNull();
  expect(existsSync(claim('a').socket)).toBe(false);
});

it('does not take another process with the same number for the owner', () => {
  const paths = claim('a');
  writeFileSync(join(paths.dir, 'owner'), `${process.pid} 1\n`);
  expect(ownerOf(paths)).toBeNull();
});

it('refuses names that are paths, sockets whose path is too long, and directories that are open to others', () => {
  for (const name of ['', '../a', 'a/b', '.a', 'a b', 'x'.repeat(65)]) expect(() => labPaths(name)).toThrow('is no name for a lab');
  expect(() => labPaths('a', `/tmp/${'x'.repeat(100)}`)).toThrow("too long for a socket's path");
  mkdirSync(root);
  chmodSync(root, 0o755);
  expect(() => claim('a')).toThrow('mode 0700');
});

it('knows where labs live', () => {
  expect(runtimeRoot({ VDPALAB_RUNTIME_DIR: '/x', XDG_RUNTIME_DIR: '/y' })).toBe('/x');
  expect(runtimeRoot({ XDG_RUNTIME_DIR: '/y' })).toBe('/y/vdpalab');
  expect(runtimeRoot({}, 0)).toBe('/run/vdpalab');
  expect(runtimeRoot({}, 1000)).toBe(join(tmpdir(), 'vdpalab-1000'));
});
