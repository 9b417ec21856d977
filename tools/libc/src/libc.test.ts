/** The calls against the host itself; nothing here is faked. */
import { closeSync, ftruncateSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  acceptUnix, addSeals, connectUnix, eventfd, F_SEAL_SHRINK, fileShape, HostError, hostAvailable, isEventfd, isReadable, listenUnix, mapBeside,
  mapInside, memfd, receiveFds, sealsOf, sendFds, signalEventfd, socketPair, takeEventfd, watchReadable,
} from './index.ts';

const PAGE = 4096;

interface Wasm { readonly Memory: new (d: object) => { readonly buffer: SharedArrayBuffer } }
const { Memory } = (globalThis as unknown as { WebAssembly: Wasm }).WebAssembly; // absent from lib ES2023

test.runIf(process.env['VDPALAB_REQUIRE_REAL'] === '1')('koffi is there', () => {
  expect(hostAvailable()).toBe(true);
});

describe.runIf(hostAvailable())('the host', () => {
  test('an eventfd counts what is signalled, and gives it once', () => {
    const fd = eventfd(3);
    expect(isEventfd(fd)).toBe(true);
    expect(isReadable(fd)).toBe(true);
    expect(signalEventfd(fd)).toBe(true);
    expect(takeEventfd(fd)).toBe(4);
    expect(takeEventfd(fd)).toBe(0);
    expect(isReadable(fd)).toBe(false);
    closeSync(fd);
  });

  test('a full eventfd is not waited for', () => {
    const fd = eventfd();
    writeSync(fd, new Uint8Array([0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]));
    expect(signalEventfd(fd)).toBe(false);
    closeSync(fd);
  });

  test('what is no eventfd is told apart and refused', () => {
    const fd = openSync('/dev/null', 'r');
    expect(isEventfd(fd)).toBe(false);
    expect(isEventfd(987_654)).toBe(false);
    expect(() => takeEventfd(fd)).toThrow(HostError);
    closeSync(fd);
  });

  test('a watch calls when there is something to read, until it is closed', async () => {
    const fd = eventfd();
    let watched: (n: number) => void = () => undefined;
    const seen = new Promise<number>((resolve) => {
      watched = resolve;
    });
    const watch = watchReadable(fd, () => watched(takeEventfd(fd)));
    signalEventfd(fd);
    expect(await seen).toBe(1);
    watch.close();
    watch.close();
    closeSync(fd);
  });

  test('descriptors travel with the first byte of a message', () => {
    const [a, b] = socketPair();
    const event = eventfd(7);
    expect(receiveFds(b, new Uint8Array(8))).toBeNull();
    expect(sendFds(a, new Uint8Array([1, 2, 3]), [event, event])).toBe(3);
    const into = new Uint8Array(8);
    const got = receiveFds(b, into);
    expect(got).toMatchObject({ length: 3, truncated: false });
    expect(into.subarray(0, 3)).toEqual(new Uint8Array([1, 2, 3]));
    const [one = -1, two = -1] = got?.fds ?? [];
    expect(takeEventfd(one)).toBe(7);
    for (const fd of [one, two, event, a]) closeSync(fd);
    expect(receiveFds(b, into)).toMatchObject({ length: 0, fds: [] });
    closeSync(b);
  });

  test('sending to nobody is EPIPE, not a signal', () => {
    const [a, b] = socketPair();
    closeSync(b);
    expect(() => sendFds(a, new Uint8Array(1))).toThrow(expect.objectContaining({ errno: 'EPIPE' }));
    closeSync(a);
  });

  test('a path is listened at by one, and connected to while it is', () => {
    const folder = mkdtempSync(join(tmpdir(), 'libc-'));
    const path = join(folder, 's');
    const server = listenUnix(path);
    expect(() => listenUnix(path)).toThrow(expect.objectContaining({ errno: 'EADDRINUSE' }));
    expect(acceptUnix(server)).toBeNull();
    const client = connectUnix(path);
    const connection = acceptUnix(server) ?? -1;
    sendFds(client, new Uint8Array([9]));
    const into = new Uint8Array(1);
    expect(receiveFds(connection, into)?.length).toBe(1);
    expect(into[0]).toBe(9);
    for (const fd of [server, client, connection]) closeSync(fd);
    expect(() => connectUnix(path)).toThrow(expect.objectContaining({ errno: 'ECONNREFUSED' }));
    rmSync(folder, { recursive: true });
    expect(() => connectUnix(path)).toThrow(expect.objectContaining({ errno: 'ENOENT' }));
    expect(() => connectUnix('x'.repeat(200))).toThrow(RangeError);
  });

  test('a memory file appears inside a WebAssembly memory, both ways, and goes without a trace', () => {
    const memory = new Memory({ initial: 16, maximum: 16, shared: true });
    const bytes = new Uint8Array(memory.buffer);
    const fd = memfd('test', 3 * PAGE);
    writeSync(fd, 'second page', PAGE);
    const mapping = mapInside(memory.buffer, 4 * PAGE, 2 * PAGE, fd, PAGE);
    expect(Buffer.from(bytes.slice(4 * PAGE, 4 * PAGE + 11)).toString()).toBe('second page');
    bytes[5 * PAGE] = 42;
    expect(readFileSync(fd)[2 * PAGE]).toBe(42);
    mapping.unmap();
    expect(bytes[4 * PAGE]).toBe(0);
    closeSync(fd);
    expect(() => mapInside(memory.buffer, 15 * PAGE, 2 ** 20, 0, 0)).toThrow(RangeError);
    expect(() => mapInside(memory.buffer, 0, PAGE, 987_654, 0)).toThrow(expect.objectContaining({ errno: 'EBADF' }));
  });

  test('a memory file can be mapped by itself', () => {
    const fd = memfd('test', PAGE);
    const mapping = mapBeside(PAGE, fd, 0);
    new Uint8Array(mapping.buffer)[1] = 5;
    expect(readFileSync(fd)[1]).toBe(5);
    mapping.unmap();
    closeSync(fd);
    expect(() => mapBeside(2 ** 33, fd, 0)).toThrow(RangeError);
  });

  test('seals tell whether a file can get shorter', () => {
    const fd = memfd('test', 2 * PAGE);
    expect(fileShape(fd)).toEqual({ size: 2 * PAGE, page: PAGE });
    expect(sealsOf(fd)).toBe(0);
    addSeals(fd, F_SEAL_SHRINK);
    expect(sealsOf(fd)).toBe(F_SEAL_SHRINK);
    expect(() => ftruncateSync(fd, PAGE)).toThrow('EPERM');
    closeSync(fd);
    const file = openSync('/proc/self/exe', 'r');
    expect(sealsOf(file)).toBe(0);
    closeSync(file);
  });
});
