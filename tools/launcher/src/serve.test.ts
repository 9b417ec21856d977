import { mkdtempSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { applets } from '@vdpalab/shell';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { askDown, askStatus, Call } from './client.ts';
import { encode, type Answer, type Request } from './protocol.ts';
import { serveLab, type RunningLab } from './serve.ts';

let running: RunningLab;
beforeEach(async () => {
  vi.stubEnv('VDPALAB_RUNTIME_DIR', join(mkdtempSync(join(tmpdir(), 'vl-')), 'run'));
  running = await serveLab({ name: 't', lab: {}, applets });
});
afterEach(async () => {
  const left = await askStatus(running.paths.socket) === null ? [] : await running.down();
  vi.unstubAllEnvs();
  if (left.length > 0) throw new Error(left.join('\n'));
});

const request = (argv: string[], cwd = '/root'): Request => ({ op: 'run', argv, cwd, env: { HOME: '/root', PATH: '/usr/sbin:/usr/bin' } });

async function begin(argv: string[], cwd?: string): Promise<Call> {
  const call = await Call.open(running.paths.socket, request(argv, cwd));
  expect(call).not.toBeNull();
  return call as Call;
}

/** Take what comes until something else than output does. */
async function until(call: Call, text = { out: '', err: '' }): Promise<Answer | null> {
  for (;;) {
    const answer = await call.next();
    if (answer !== null && 'out' in answer) text.out += answer.out;
    else if (answer !== null && 'err' in answer) text.err += answer.err;
    else return answer;
  }
}

async function run(argv: string[], cwd?: string): Promise<{ out: string; err: string; end: Answer | null }> {
  const text = { out: '', err: '' };
  return { end: await until(await begin(argv, cwd), text), ...text };
}

it('runs programs of the lab, with their output, errors and status', async () => {
  expect(await run(['modprobe', '-v', 'vdpa'])).toEqual({ out: 'insmod /lib/modules/6.1.0-vdpalab/kernel/drivers/vdpa/vdpa.ko \n', err: '', end: { exit: 0 } });
  expect(await run(['modprobe', 'nosuch'])).toEqual({ out: '', err: 'modprobe: FATAL: Module nosuch not found in directory /lib/modules/6.1.0-vdpalab\n', end: { exit: 1 } });
  expect((await run(['lsmod'])).out).toMatch(/^Module.*\nvdpa +\d+ +0\n$/);
  expect(await run(['nosuch'])).toEqual({ out: '', err: 'bash: nosuch: command not found\n', end: { exit: 127 } });
  expect((await run(['ls', '-d', 'pci'], '/sys/bus')).out).toBe('pci\n');
});

it('asks for standard input only when the program reads', async () => {
  const text = { out: '', err: '' };
  const call = await begin(['cat']);
  expect(await until(call, text)).toEqual({ want: 65536 });
  call.say({ in: 'a\xff\0b\n' });
  expect(await until(call, text)).toEqual({ want: 65536 });
  call.say({ in: '' });
  expect(await until(call, text)).toEqual({ exit: 0 });
  expect(text.out).toBe('a\xff\0b\n');
});

it('runs several at once', async () => {
  const [first, second] = [await begin(['cat']), await begin(['wc', '-c'])];
  await until(first);
  await until(second);
  expect((await run(['echo', 'third'])).out).toBe('third\n');
  second.say({ in: 'four' });
  expect(await until(second)).toEqual({ want: 65536 });
  for (const call of [first, second]) call.say({ in: '' });
  expect(await until(first)).toEqual({ exit: 0 });
  expect(await until(second)).toEqual({ exit: 0 });
});

it('hands signals on, and ends what a client that left had started', async () => {
  const killed = await begin(['sleep', '1000']);
  killed.say({ signal: 15 });
  expect(await until(killed)).toEqual({ exit: 143, signal: 15 });
  const left = await begin(['sleep', '1000']);
  const reader = await begin(['cat']);
  await until(reader);
  left.close();
  reader.close();
  await expect.poll(() => running.lab.symbol('processes')().map((proc) => proc.comm)).not.toContain('sleep');
  await expect.poll(() => running.lab.symbol('processes')().map((proc) => proc.comm)).not.toContain('cat');
});

it('signals all that a program has started, and outlives signals that come too late', async () => {
  const shell = await begin(['bash', '-c', 'sleep 1000 & sleep 1000; echo never']);
  await expect.poll(() => running.lab.symbol('processes')().filter((proc) => proc.comm === 'sleep')).toHaveLength(2);
  shell.say({ signal: 15 });
  expect(await until(shell)).toEqual({ exit: 143, signal: 15 });
  await expect.poll(() => running.lab.symbol('processes')().map((proc) => proc.comm)).not.toContain('sleep');
  shell.say({ signal: 15 });
  const quick = await begin(['true']);
  for (let i = 0; i < 20; i++) quick.say({ signal: 10 });
  await until(quick);
  expect((await run(['echo', 'alive'])).out).toBe('alive\n');
});

it('takes a large output in pieces, as fast as the client reads', async () => {
  const text = { out: '', err: '' };
  expect(await until(await begin(['head', '-c', '3000000', '/dev/zero']), text)).toEqual({ exit: 0 });
  expect(text.out.length).toBe(3_000_000);
});

it('borrows a file of the caller\'s for insmod, and gives it back', async () => {
  const call = await begin(['insmod', './x.ko'], '/some/where');
  expect(await until(call)).toEqual({ fetch: '/some/where/x.ko' });
  call.say({ in: 'no module' });
  call.say({ in: '' });
  const text = { out: '', err: '' };
  expect(await until(call, text)).toEqual({ exit: 1 });
  expect(text.err).toBe('insmod: ERROR: could not insert module ./x.ko: Invalid module format\n');
  expect((await run(['ls', '/some'])).end).toEqual({ exit: 2 });
  const none = await begin(['insmod', '/no/such.ko']);
  expect(await until(none)).toEqual({ fetch: '/no/such.ko' });
  none.say({ none: true });
  expect(await until(none, text)).toEqual({ exit: 1 });
  expect(text.err).toContain('could not load module /no/such.ko: No such file or directory');
});

it('is a shell for a person', async () => {
  const call = await Call.open(running.paths.socket, { op: 'shell' }) as Call;
  expect(await until(call)).toEqual({ prompt: 'root@lab:~# ', last: 0 });
  const text = { out: '', err: '' };
  call.say({ line: 'x=5; cd /sys/bus' });
  expect(await until(call)).toEqual({ prompt: 'root@lab:/sys/bus# ', last: 0 });
  call.say({ line: 'echo $x; false' });
  expect(await until(call, text)).toEqual({ prompt: 'root@lab:/sys/bus# ', last: 1 });
  expect(text.out).toBe('5\n');
  call.say({ complete: 'ls pc' });
  expect(await until(call)).toEqual({ completions: ['pci/'], word: 'pc' });
  call.say({ line: 'echo "open' });
  expect(await until(call)).toEqual({ prompt: '> ', last: 1 });
  call.say({ cancel: true });
  expect(await until(call)).toMatchObject({ prompt: 'root@lab:/sys/bus# ' });
  call.say({ line: 'exit 3' });
  expect(await until(call)).toEqual({ exit: 3 });
});

it('says how it is', async () => {
  expect(await askStatus(running.paths.socket)).toMatchObject({ name: 't', pid: process.pid, lab: null, modules: 0, attached: [] });
});

it('is not harmed by messages that are none', async () => {
  const socketSays = (bytes: string | Uint8Array): Promise<string> => new Promise((resolve) => {
    let text = '';
    const socket = connect(running.paths.socket, () => socket.write(bytes));
    socket.on('data', (chunk) => void (text += chunk.toString())).on('error', () => {}).on('close', () => resolve(text));
  });
  expect(await socketSays('hello\n')).toBe(encode({ error: 'not JSON' }));
  expect(await socketSays(Buffer.from([0xff, 0xfe, 0x0a]))).toBe(encode({ error: 'not JSON' }));
  expect(await socketSays('x'.repeat(3 << 20))).toBe(encode({ error: 'a line is too long' }));
  expect(await socketSays('{"op":"shell"}\n{"signal":9}\n')).toContain('not what a shell is told');
  expect(await socketSays(`${encode(request(['cat']))}{"line":"x"}\n`)).toContain('not what a program is told');
  expect(await socketSays(`${encode(request(['insmod', '/x.ko']))}{"signal":9}\n`)).toContain('a file was asked for');
  expect((await run(['echo', 'alive'])).out).toBe('alive\n');
});

it('ends when it is told to, and says so to whoever waits', async () => {
  expect(await askDown(running.paths.socket)).toEqual([]);
  expect(await running.ended).toEqual([]);
  expect(await askStatus(running.paths.socket)).toBeNull();
});

it('tells of what was still running', async () => {
  const call = await begin(['cat']);
  await until(call);
  expect(await askDown(running.paths.socket)).toEqual(["the lab's program cat was still running"]);
  expect(await running.ended).toHaveLength(1);
});
