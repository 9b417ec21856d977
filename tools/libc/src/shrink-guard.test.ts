import { spawnSync } from 'node:child_process';
import { closeSync, ftruncateSync, readdirSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { guardMapping, hostAvailable, mapBeside, memfd } from './index.ts';
import { canHandleSigbus } from './sigbus-handler.ts';

const PAGE = 4096;
const LIBRARY = new URL('../dist/index.js', import.meta.url).href;

describe.runIf(hostAvailable() && canHandleSigbus)('a guarded mapping', () => {
  test('outlives its file: what was cut off is zeros, for whoever is just touching it', async () => {
    const fd = memfd('test', 3 * PAGE);
    const mapping = mapBeside(3 * PAGE, fd, 0);
    const bytes = new Uint8Array(mapping.buffer).fill(7);
    let told = (): void => undefined;
    const cut = new Promise<void>((resolve) => {
      told = resolve;
    });
    const guard = guardMapping(mapping, 3 * PAGE, PAGE, () => told());
    expect(guard.cut).toBe(false);
    ftruncateSync(fd, PAGE + 100);
    expect([bytes[0], bytes[PAGE + 99], bytes[PAGE + 100], bytes[2 * PAGE], bytes[3 * PAGE - 1]]).toEqual([7, 7, 0, 0, 0]);
    await cut;
    expect(guard.cut).toBe(true);
    ftruncateSync(fd, 0);
    expect([...bytes.subarray(0, 2)]).toEqual([0, 0]);
    bytes.fill(1);
    guard.release();
    guard.release();
    mapping.unmap();
    closeSync(fd);
  });

  test('tells of itself alone, keeps what is before the cut, and leaves nothing open', async () => {
    const before = readdirSync('/proc/self/fd').length;
    const files = [0, 1, 2].map(() => memfd('test', 4 * PAGE));
    const mappings = files.map((fd) => mapBeside(4 * PAGE, fd, 0));
    const told: number[] = [];
    let last = (): void => undefined;
    const seen = new Promise<void>((resolve) => {
      last = resolve;
    });
    const guards = mappings.map((mapping, i) => guardMapping(mapping, 4 * PAGE, PAGE, () => {
      told.push(i);
      last();
    }));
    guards[0]!.release();
    mappings.push(mapBeside(4 * PAGE, files[0]!, 0));
    guards.push(guardMapping(mappings[3]!, 4 * PAGE, PAGE, () => told.push(3))); // takes the entry that is free
    const bytes = new Uint8Array(mappings[2]!.buffer).fill(9);
    ftruncateSync(files[2]!, 2 * PAGE);
    expect([bytes[3 * PAGE], bytes[2 * PAGE], bytes[2 * PAGE - 1]]).toEqual([0, 0, 9]); // two faults
    await seen;
    expect(told).toEqual([2]);
    expect(guards.map((guard) => guard.cut)).toEqual([false, false, true, false]);
    for (const guard of guards) guard.release();
    expect(guards[2]!.cut).toBe(true);
    for (const mapping of mappings) mapping.unmap();
    for (const fd of files) closeSync(fd);
    expect(readdirSync('/proc/self/fd').length).toBe(before);
  });

  test.each([
    ['a fault in a mapping that is not guarded', 'ftruncateSync(other, 0); new Uint8Array(unguarded.buffer)[0];', 'SIGBUS'],
    ['a fault in one that is guarded no more', 'guard.release(); ftruncateSync(file, 0); new Uint8Array(guarded.buffer)[0];', 'SIGBUS'],
    ['a fault beside it', 'ftruncateSync(file, 0); ftruncateSync(other, 0); new Uint8Array(guarded.buffer)[4095]; new Uint8Array(unguarded.buffer)[4095];', 'SIGBUS'],
    ['the signal, sent', 'process.kill(process.pid, "SIGBUS"); for (;;);', 'SIGBUS'],
    ['a fault in the guarded one', 'ftruncateSync(file, 0); new Uint8Array(guarded.buffer)[0];', null],
    ['its own end', '', null],
  ])('does not change what %s does to the process', (_what, script, signal) => {
    const program = `
      import { ftruncateSync } from 'node:fs';
      import { guardMapping, mapBeside, memfd } from '${LIBRARY}';
      const [file, other] = [memfd('guarded', 4096), memfd('other', 4096)];
      const [guarded, unguarded] = [mapBeside(4096, file, 0), mapBeside(4096, other, 0)];
      const guard = guardMapping(guarded, 4096, 4096, () => {});
      ${script}`;
    const ended = spawnSync(process.execPath, ['--input-type=module', '-e', program], { encoding: 'utf8', timeout: 20_000, killSignal: 'SIGKILL' });
    expect(ended).toMatchObject({ signal, status: signal === null ? 0 : null, stderr: '' });
  });
});
