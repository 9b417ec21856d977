/** Memory of a child of the test's. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync } from 'node:fs';
import { addSeals, F_SEAL_SHRINK, hostAvailable, mapInside, memfd } from '@vdpalab/libc';
import { sharedMemory } from '@vdpalab/machine';
import { PROT_READ, PROT_WRITE } from '@vdpalab/uapi';
import { afterEach, expect, test } from 'vitest';
import type { HostArea } from './areas.ts';
import { HostMemory } from './memory.ts';

const children: ChildProcess[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

/** A program that has begun, with whatever it prints first. */
async function child(...argv: readonly [string, ...string[]]): Promise<ChildProcess & { readonly pid: number }> {
  const [program, ...args] = argv;
  const started = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  children.push(started);
  await once(started.stdout!, 'data'); // a pipe, as asked for
  return started as ChildProcess & { pid: number };
}

const IDLE = ['sh', '-c', 'echo; read x; exec sh -c "echo; read y"'] as const;

function heap(memory: HostMemory): HostArea {
  const area = memory.areas().find(({ name }) => name === '[heap]');
  if (area === undefined) throw new Error('no heap');
  return area;
}

test('memory is read and written as its pages allow', async () => {
  const { pid } = await child(...IDLE);
  const memory = new HostMemory(pid);
  const { start, end } = heap(memory);
  expect(memory.write(end - 8, Uint8Array.of(1, 2, 3))).toBe(true);
  expect(memory.read(end - 8, 3)).toEqual(Uint8Array.of(1, 2, 3));
  expect([memory.read(0, 1), memory.read(start, 2 ** 30), memory.write(0, Uint8Array.of(1))]).toEqual([null, null, false]);
  const text = memory.areas().find(({ prot }) => (prot & (PROT_READ | PROT_WRITE)) === PROT_READ);
  expect(memory.write(text!.start, Uint8Array.of(0))).toBe(false);
  memory.close();
  expect([memory.read(start, 1), memory.write(start, Uint8Array.of(1))]).toEqual([null, false]);
});

test('the program that a process begins is found; a region stays with the one before', async () => {
  const shell = await child(...IDLE);
  const memory = new HostMemory(shell.pid);
  const area = heap(memory);
  const last = area.end - area.start - 64; // nothing of the shell's is there
  memory.write(area.start + last, Uint8Array.of(7));
  const region = memory.region(2 ** 44, area.start, area.end - area.start, area);
  region.remote?.pull(last, 1);
  expect([region.kind, region.u8[last]]).toEqual(['remote', 7]);
  region.u8[last + 1] = 9;
  region.remote?.push(last + 1, 1);
  expect(memory.read(area.start + last + 1, 1)).toEqual(Uint8Array.of(9));
  const begun = once(shell.stdout!, 'data');
  shell.stdin!.write('\n');
  await begun;
  const { start } = heap(memory);
  expect(memory.read(start, 8)?.length).toBe(8);
  region.u8[last] = 1;
  region.remote?.pull(last, 1);
  region.remote?.push(last, 1);
  expect(region.u8[last]).toBe(1); // what it was of is gone
  memory.release(region);
  shell.kill('SIGKILL');
  await once(shell, 'exit');
  expect([memory.read(start, 8), memory.areas()]).toEqual([null, []]);
  expect(() => memory.region(2 ** 44, area.start, 4096, area)).toThrow('gone');
  memory.close();
});

test.each([['sealed', 'mapped'], ['open', 'remote']])('a memory file that is %s is %s', (seal, kind) => {
  if (!hostAvailable()) return;
  const fd = memfd('shared', 8192);
  if (seal === 'sealed') addSeals(fd, F_SEAL_SHRINK);
  const here = mapInside(sharedMemory(65_536).buffer, 0, 8192, fd, 0);
  const bytes = new Uint8Array(here.buffer, 0, 8192);
  bytes[4096] = 5;
  const memory = new HostMemory(process.pid);
  const area = memory.areas().find(({ name }) => name.startsWith('/memfd:shared'))!;
  const region = memory.region(2 ** 44, area.start + 4096, 4096, area);
  expect([region.kind, region.size]).toEqual([kind, 4096]);
  region.remote?.pull(0, 1);
  expect(region.u8[0]).toBe(5);
  region.u8[1] = 42;
  region.remote?.push(1, 1);
  expect(bytes[4097]).toBe(42);
  memory.release(region);
  memory.close();
  here.unmap();
  closeSync(fd);
});

test('of a file that is shorter than its mapping, what is behind the end is left to copies', () => {
  if (!hostAvailable()) return;
  const fd = memfd('short', 4096);
  addSeals(fd, F_SEAL_SHRINK);
  const here = mapInside(sharedMemory(65_536).buffer, 0, 8192, fd, 0);
  const memory = new HostMemory(process.pid);
  const area = memory.areas().find(({ name }) => name.startsWith('/memfd:short'))!;
  const region = memory.region(2 ** 44, area.start, 8192, area);
  expect(region.kind).toBe('remote');
  region.u8[4096] = 1;
  region.remote?.pull(4096, 1); // SIGBUS, if it were mapped
  region.remote?.push(4096, 1);
  expect(region.u8[4096]).toBe(1);
  memory.release(region);
  memory.close();
  here.unmap();
  closeSync(fd);
});

test('many pieces move together, as far as there is memory, and not once another program runs', async () => {
  const shell = await child(...IDLE);
  const memory = new HostMemory(shell.pid);
  const area = heap(memory);
  const region = memory.region(2 ** 44, area.start, area.end - area.start, area);
  const last = area.end - area.start - 64; // nothing of the shell's is there
  const offsets = Uint32Array.of(last, last + 8, last + 16, last + 24, 1);
  const lengths = Uint32Array.of(1, 2, 3, 4, 99);
  for (let i = 0; i < 64; i++) region.u8[last + i] = i + 1;
  region.remote?.pushMany(offsets, lengths, 4);
  expect([...memory.read(area.end - 64, 32)!]).toEqual([
    1, 0, 0, 0, 0, 0, 0, 0, 9, 10, 0, 0, 0, 0, 0, 0, 17, 18, 19, 0, 0, 0, 0, 0, 25, 26, 27, 28, 0, 0, 0, 0,
  ]);
  region.u8.fill(0, last);
  region.remote?.pullMany(offsets, lengths, 4);
  expect([...region.u8.subarray(last + 16, last + 29)]).toEqual([17, 18, 19, 0, 0, 0, 0, 0, 25, 26, 27, 28, 0]);
  const begun = once(shell.stdout!, 'data');
  shell.stdin!.write('\n');
  await begun;
  region.u8.fill(0xff, last);
  const now = heap(memory);
  const before = memory.read(now.start, now.end - now.start);
  region.remote?.pushMany(offsets, lengths, 4);
  expect(memory.read(now.start, now.end - now.start)).toEqual(before);
  memory.release(region);
  region.remote?.pushMany(offsets, lengths, 4); // nobody's any more
  memory.close();
});
