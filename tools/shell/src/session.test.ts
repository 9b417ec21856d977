import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { KernelError } from '@vdpalab/abi';
import { expect, test } from 'vitest';
import { hostcp } from './applets/host.ts';
import { applets } from './applets/index.ts';
import { testShell } from './testing/shell-kernel.ts';

test('state lives from one command to the next', async () => {
  const { sh } = await testShell();
  await sh('x=1; f() { echo "f $x"; }; cd /; exec 9>/tmp/nine');
  expect(await sh('f; pwd; echo to nine >&9; exec 9>&-; cat /tmp/nine; echo $?')).toEqual({ stdout: 'f 1\n/\nto nine\n0\n', stderr: '', status: 0 });
  expect((await sh('false')).status).toBe(1);
  expect((await sh('echo $?')).stdout).toBe('1\n');
});

test('exit ends the session with its status, after the EXIT trap', async () => {
  const { sh, session, inTask } = await testShell();
  await sh('trap "echo bye > /tmp/bye" EXIT');
  expect((await sh('exit 7')).status).toBe(7);
  expect(session.exited).toBe(7);
  await inTask(() => session.close());
  expect((await sh('cat /tmp/bye')).stdout).toBe('bye\n');
});

test('a refused store says why, and the command is not run when its redirection is refused', async () => {
  const { sh, kernel } = await testShell();
  let opened = 0;
  kernel.k.proc_create('/proc/busy', 0o644, () => `${++opened}\n`, async () => {
    throw new KernelError('EBUSY', 'test.busy', 'always');
  });
  expect(await sh('echo x > /proc/busy')).toEqual({ stdout: '', stderr: 'bash: echo: write error: Device or resource busy\n', status: 1 });
  expect(await sh('cat /etc/hostname /proc/busy > /proc/busy; echo $?')).toMatchObject({ stdout: '1\n' });
  expect((await sh('cat < /proc/devices > /proc/busy')).stderr).toBe('cat: write error: Device or resource busy\n');
  expect((await sh('echo x | tee /proc/busy')).stderr).toBe('tee: /proc/busy: Device or resource busy\n');
  expect((await sh('ls / > /proc/busy')).stderr).toBe('ls: write error: Device or resource busy\n');
  const ran = await sh('f() { echo ran >&2; }; for c in f "echo" "/bin/echo"; do $c x > /nosuch/y; echo $?; done; { echo ran >&2; } > /nosuch/y');
  expect(ran.stdout).toBe('1\n1\n1\n');
  expect(ran.stderr).toBe('bash: /nosuch/y: No such file or directory\n'.repeat(4));
});

test('an unprivileged shell is refused what the kernel refuses', async () => {
  const { sh } = await testShell();
  await sh('echo secret > /tmp/s; mkdir /tmp/own');
  const run = await sh("su nobody -s /bin/sh -c 'id -u; whoami; echo x > /tmp/own/f; echo $?'");
  expect(run.stdout).toBe('65534\nnobody\n2\n');
  expect(run.stderr).toMatch(/own\/f: Permission denied\n$/);
});

test('a reader that goes away ends the writer quietly', async () => {
  const { sh, kernel } = await testShell();
  const before = kernel.leftovers();
  expect(await sh('seq 100000 | head -n 1; set -o pipefail; seq 100000 | head -n 1; echo $?; set +o pipefail')).toEqual({ stdout: '1\n1\n141\n', stderr: '', status: 0 });
  expect(kernel.leftovers()).toEqual(before);
});

test('a long here-document and a long pipe pass whole', async () => {
  const { sh } = await testShell();
  const long = 'x'.repeat(99_999);
  expect((await sh(`wc -c <<< ${long}`)).stdout).toBe('100000\n');
  expect((await sh('seq 30000 | cat | tail -n 1; x=$(seq 30000); echo ${#x}')).stdout).toBe('30000\n168893\n');
});

test('hostcp copies both ways, and names the side that refused', async () => {
  const { sh } = await testShell({ applets: new Map([...applets, ['hostcp', hostcp]]) });
  const dir = mkdtempSync(join(tmpdir(), 'hostcp-'));
  try {
    writeFileSync(join(dir, 'in'), Uint8Array.of(0, 0xff, 10));
    expect((await sh(`hostcp ${dir}/in /tmp/x && od -An -tx1 /tmp/x && hostcp -o /tmp/x ${dir}/out`)).stdout).toBe(' 00 ff 0a\n');
    expect([...readFileSync(join(dir, 'out'))]).toEqual([0, 0xff, 10]);
    expect((await sh(`hostcp ${dir}/none /tmp/y`)).stderr).toBe(`hostcp: ${dir}/none to /tmp/y: host: No such file or directory\n`);
    expect((await sh(`hostcp ${dir}/in /none/y`)).stderr).toBe(`hostcp: ${dir}/in to /none/y: No such file or directory\n`);
    expect((await sh('hostcp a')).status).toBe(2);
  } finally {
    rmSync(dir, { recursive: true });
  }
});

test('nothing remains of a session whose process has exited', async () => {
  const { sh, kernel, session } = await testShell();
  await sh('exec 5</dev/null; sleep 3 & x=$(echo a | cat); (echo b)');
  await kernel.run(() => kernel.k.process_exit(session.shell.p.proc));
  expect(kernel.leftovers()).toEqual([]);
});
