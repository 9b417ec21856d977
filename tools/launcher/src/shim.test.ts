import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { applets } from '@vdpalab/shell';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { findProgram } from './find-program.ts';
import { serveLab, type RunningLab } from './serve.ts';
import { nodeShim, perlShim, type ShimProgram } from './shims.ts';

const perl = findProgram('perl');
let running: RunningLab;
let folder = '';
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'vl-'));
  vi.stubEnv('VDPALAB_RUNTIME_DIR', join(folder, 'r'));
  running = await serveLab({ name: 't', lab: {}, applets });
});
afterAll(async () => {
  const left = await running.down();
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
  if (left.length > 0) throw new Error(left.join('\n'));
});

const kinds: [string, ShimProgram][] = [['node', nodeShim], ...(perl === null ? [] : [['perl', perlShim(perl)] satisfies [string, ShimProgram]])];

describe.each(kinds)('the shim in %s', (_kind, [interpreter, file]) => {
  const start = (argv: readonly string[], env: NodeJS.ProcessEnv = {}, socket = running.paths.socket): ChildProcess =>
    spawn(interpreter, [file, socket, ...argv], { cwd: folder, env: { PATH: process.env['PATH'], ...env } });

  async function end(child: ChildProcess, input: string | Uint8Array | null = ''): Promise<{ out: string; err: string; status: number | null; signal: string | null }> {
    const [out, err]: [Buffer[], Buffer[]] = [[], []];
    child.stdout?.on('data', (part: Buffer) => void out.push(part));
    child.stderr?.on('data', (part: Buffer) => void err.push(part));
    child.stdin?.on('error', () => {});
    if (input !== null) child.stdin?.end(input);
    return new Promise((resolve) => {
      child.once('close', (status, signal) => resolve({ out: Buffer.concat(out).toString('latin1'), err: Buffer.concat(err).toString('latin1'), status, signal }));
    });
  }

  it('hands on words, environment, output, errors and status', async () => {
    const words = ['printf', '%s|', 'a b', '"q"', 'back\\slash', 'new\nline', 'tab\t', 'ü€', ''];
    expect(await end(start(words))).toEqual({ out: Buffer.from('a b|"q"|back\\slash|new\nline|tab\t|ü€||').toString('latin1'), err: '', status: 0, signal: null });
    expect((await end(start(['env'], { 'X Y': 'a"\\\n=b' }))).out).toContain('X Y=a"\\\n=b\n');
    expect(await end(start(['modprobe', 'nosuch']))).toMatchObject({ out: '', err: expect.stringContaining('modprobe: FATAL: Module nosuch not found') as string, status: 1 });
    expect(await end(start(['no-such']))).toMatchObject({ err: 'bash: no-such: command not found\n', status: 127 });
  });

  it('carries every byte both ways, and large amounts', async () => {
    const bytes = Uint8Array.from({ length: 256 * 1024 }, (_, i) => (i * 7 + (i >> 8)) & 0xff);
    const { out, status } = await end(start(['cat']), bytes);
    expect(status).toBe(0);
    expect(Buffer.from(out, 'latin1').equals(bytes)).toBe(true);
  });

  it('reads no more than is wanted: the rest is the next one\'s', async () => {
    const child = spawn('bash', ['-c', '"$@" head -c 3; cat', 'bash', interpreter, file, running.paths.socket], { cwd: folder });
    child.stdin?.end('abc\n');
    expect((await end(child, null)).out).toBe('abc\n');
    const untouched = spawn('bash', ['-c', '"$@" lsmod >/dev/null; cat', 'bash', interpreter, file, running.paths.socket], { cwd: folder });
    expect((await end(untouched, 'all of it')).out).toBe('all of it');
  });

  it('hands signals on, also while the program waits for input', async () => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      const child = start(['cat']);
      const ended = end(child, null);
      child.stdin?.write('x');
      await new Promise((resolve) => child.stdout?.once('data', resolve));
      child.kill(signal);
      expect(await ended).toMatchObject({ status: null, signal });
    }
  });

  it('lends a file of its caller', async () => {
    writeFileSync(join(folder, 'x.ko'), Uint8Array.from({ length: 100_000 }, (_, i) => i & 0xff));
    expect(await end(start(['insmod', './x.ko']))).toMatchObject({ err: 'insmod: ERROR: could not insert module ./x.ko: Invalid module format\n', status: 1 });
    expect(await end(start(['insmod', './no.ko']))).toMatchObject({ err: 'insmod: ERROR: could not load module ./no.ko: No such file or directory\n', status: 1 });
  });

  it('says when there is no lab, and how it is used', async () => {
    expect(await end(start(['lsmod'], {}, join(folder, 'none')))).toEqual({ out: '', err: `lsmod: no lab listens at ${join(folder, 'none')}\n`, status: 1, signal: null });
    expect(await end(start([]))).toEqual({ out: '', err: 'lab: usage: lab PROGRAM [ARGUMENT...]\n', status: 2, signal: null });
  });
});
