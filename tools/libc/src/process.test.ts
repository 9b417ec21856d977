import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, readSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { addressOf, hostAvailable, HostError } from './host.ts';
import { pidfdOpen, takeFd } from './pidfd.ts';
import { isReadable } from './poll.ts';
import { readMemory, writeMemory } from './process-memory.ts';
import { SeccompListener, whyNoSeccomp } from './seccomp.ts';

const available = hostAvailable() && process.platform === 'linux';

describe.runIf(available)('another process', () => {
  const folder = mkdtempSync(join(tmpdir(), 'vdpalab-libc-'));
  const file = join(folder, 'file');
  let child: ChildProcess;
  let ended: Promise<unknown>;

  beforeAll(async () => {
    writeFileSync(file, 'hello');
    const fd = openSync(file, 'r');
    child = spawn('cat', { stdio: ['pipe', 'pipe', 'ignore', fd] });
    closeSync(fd);
    ended = once(child, 'exit');
    child.stdin?.write('x');
    await once(child.stdout!, 'data'); // it runs
  });
  afterAll(async () => {
    child.kill();
    await ended;
    rmSync(folder, { recursive: true });
  });

  test('lends its descriptors', () => {
    const fd = takeFd(child.pid!, 3);
    const bytes = Buffer.alloc(8);
    expect(bytes.toString('utf8', 0, readSync(fd, bytes))).toBe('hello');
    closeSync(fd);
  });

  test('that is not there, or a descriptor it has not, is refused', () => {
    expect(() => takeFd(child.pid!, 99)).toThrow(new HostError('pidfd_getfd', 9, 'descriptor 99'));
    expect(() => pidfdOpen(0x3fff_ffff)).toThrow('ESRCH');
    expect(() => pidfdOpen(-1)).toThrow('EINVAL');
  });

  test('shows its memory as far as its pages allow', () => {
    const own = Buffer.from('some bytes of this process');
    const copy = new Uint8Array(10);
    expect(readMemory(process.pid, addressOf(own), copy)).toBe(10);
    expect(Buffer.from(copy).toString()).toBe('some bytes');
    expect(writeMemory(process.pid, addressOf(own) + 5n, Buffer.from('words'))).toBe(5);
    expect(own.toString()).toBe('some words of this process');
    const [from = '', to = ''] = /^([0-9a-f]+)-([0-9a-f]+) r--p/m.exec(readFileSync(`/proc/${child.pid}/maps`, 'utf8'))?.slice(1) ?? [];
    const [start, end] = [BigInt(`0x${from}`), BigInt(`0x${to}`)];
    expect(readMemory(child.pid!, start, new Uint8Array(Number(end - start)))).toBe(Number(end - start));
    expect(writeMemory(child.pid!, start, copy)).toBe(0); // read only
    for (const nowhere of [0n, 8n, 1n << 47n, 0xffff_ffff_ff60_0000n, (1n << 64n) - 1n]) {
      expect([readMemory(child.pid!, nowhere, copy), writeMemory(child.pid!, nowhere, copy)]).toEqual([0, 0]);
    }
    expect(readMemory(0x3fff_ffff, start, copy)).toBe(0);
  });

  test('has a descriptor that tells of its end', async () => {
    const brief = spawn('true', { stdio: 'ignore' });
    const pidfd = pidfdOpen(brief.pid!);
    await once(brief, 'exit');
    expect(isReadable(pidfd)).toBe(true);
    closeSync(pidfd);
  });
});

describe.runIf(available && whyNoSeccomp() === null)('a listener', () => {
  test('that is closed answers nobody', () => {
    const listener = new SeccompListener(openSync('/dev/null', 'r'));
    expect(() => listener.succeed(1n, 0)).toThrow('ENOTTY');
    expect(listener.isWaiting(1n)).toBe(false);
    listener.close();
    listener.close();
    expect([listener.succeed(1n, 0), listener.fail(1n, 1), listener.proceed(1n), listener.returnFile(1n, 0, 0), listener.isWaiting(1n)]).toEqual([false, false, false, null, false]);
  });
});
