/** Unmodified programs of the host in a lab: `vdpalab up`, `exec`, `down`. */
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it, type TestContext } from 'vitest';
import { Host, needsEntry, outcome, said } from './cli.ts';
import { whyNoTrap } from './trapped.ts';

const host = new Host();
const noTrap = whyNoTrap(['vdpa', '-V'], ['modprobe', '-V'], ['dmesg', '-V']);

function needsTrap(context: TestContext): void {
  needsEntry(context);
  if (noTrap !== null && process.env['VDPALAB_REQUIRE_REAL'] === '1') throw new Error(noTrap);
  if (noTrap !== null) context.skip(noTrap);
}
const timeout = 120_000;

afterEach(async () => {
  if (host.leftovers().length > 0) await host.run(['down']);
  await host.settled();
});
afterAll(() => host.close());

describe('a program in a lab of its own', { timeout }, () => {
  it('has the lab for its system, and the host for the rest', async (context) => {
    needsEntry(context, 'lspci');
    const script = `
      modprobe -a vhost_vdpa vdpa_sim_net && vdpa dev add name v0 mgmtdev vdpasim_net && ls -d /dev/vhost-vdpa-* /sys/bus/vdpa/devices/*
      cut -d' ' -f1 /proc/modules | sort | xargs; lspci -n; ls "/lib/modules/$(uname -r)/modules.dep"
      echo hello >/dev/null && [ -c /dev/null ] && head -c 3 /dev/zero | od -An -tx1; cat /proc/self/comm; [ -f /etc/passwd ] && echo passwd; : >/dev/tty0 && echo tty0`;
    const { stdout, stderr, status } = await host.bash(script);
    expect(stderr).toBe('');
    expect(stdout.split('\n')).toEqual([
      '/dev/vhost-vdpa-0', '/sys/bus/vdpa/devices/v0', 'irqbypass vdpa vdpa_sim vdpa_sim_net vhost vhost_iotlb vhost_vdpa vringh',
      '00:00.0 0600: 1b36:0008', expect.stringMatching(/^\/lib\/modules\/.*\/modules.dep$/), ' 00 00 00', 'cat', 'passwd', ...(process.getuid?.() === 0 ? ['tty0'] : []), '',
    ]);
    expect(status).toBe(0);
  });

  it('ends with the program\'s status: its own, a signal\'s, 127, 126', async (context) => {
    needsEntry(context);
    const up = await host.run(['up']);
    expect(up.status, up.stderr).toBe(0);
    expect((await host.bash('exit 7')).status).toBe(7);
    expect((await host.bash('kill -TERM $$')).status).toBe(143);
    expect((await host.bash('kill -KILL $$')).status).toBe(137);
    expect(await host.run(['exec', '--', 'no-such-program'])).toMatchObject({ status: 127, stderr: expect.stringContaining('no-such-program: not found') as string });
    expect(await host.run(['exec', '--', '/etc/passwd'])).toMatchObject({ status: 126, stderr: expect.stringContaining('Permission denied') as string });
  });

  it('has the caller\'s streams and directory', async (context) => {
    needsEntry(context);
    const cwd = mkdtempSync(join(tmpdir(), 'vdpalab-cwd-'));
    const input = `${'x'.repeat(100_000)}\0\n`;
    const { stdout, stderr } = await host.bash('pwd; lab wc -c; echo err >&2', { cwd, input });
    expect(stdout).toBe(`${cwd}\n${input.length}\n`);
    expect(stderr).toBe('err\n');
    rmSync(cwd, { recursive: true });
  });
});

describe('the lab\'s tools on PATH', { timeout }, () => {
  it('do as the lab\'s shell does, messages and statuses', async (context) => {
    needsEntry(context);
    const script = [
      'modprobe nosuch', 'modprobe -v vhost_vdpa', 'rmmod vdpa', 'rmmod nosuch', 'lsmod', 'modinfo -F license vdpa', 'modinfo nosuch', 'insmod /nosuch.ko', 'insmod',
      'vdpa mgmtdev show', 'vdpa dev show nosuch', 'vdpa dev add name x mgmtdev nosuch', 'devlink dev show', 'depmod -n nosuch', 'dmesg -t', 'dmesg -c -t', 'dmesg', 'modprobe -r vhost_vdpa', 'lsmod',
    ].map((line) => `${line}; echo "$? of ${line}" | cat`).join('\n');
    const file = join(tmpdir(), `vdpalab-script-${process.pid}`);
    writeFileSync(file, script);
    const real = await host.run(['exec', '--', 'bash', file]);
    rmSync(file);
    const lab = await host.run(['shell'], { input: script });
    expect(real.stdout).toBe(lab.stdout);
    expect(real.stderr).toBe(lab.stderr);
    expect(real.stdout).toContain('1 of rmmod vdpa');
  });

  it('take a module of the caller\'s, by a relative path, and read no input that is not theirs', async (context) => {
    needsEntry(context);
    const cwd = mkdtempSync(join(tmpdir(), 'vdpalab-cwd-'));
    const script = 'cp /lib/modules/$(uname -r)/kernel/drivers/vdpa/vdpa.ko mine.ko && insmod ./mine.ko && cat /sys/module/vdpa/refcnt; printf "vhost_iotlb\\nvhost\\n" | while read -r m; do modprobe "$m"; done; lsmod | wc -l';
    expect(await host.bash(script, { cwd })).toEqual({ stdout: '0\n4\n', stderr: '', status: 0 });
    rmSync(cwd, { recursive: true });
  });
});

describe('the host\'s own tools, trapped', { timeout }, () => {
  it('act on the lab, with streams and status as without', async (context) => {
    needsTrap(context);
    const script = `
      modprobe vdpa_sim_net && vdpa dev add name v0 mgmtdev vdpasim_net && vdpa dev show | cut -d: -f1; vdpa dev add name v0 mgmtdev vdpasim_net
      rmmod vdpa; dmesg -t >/dev/null && cut -d" " -f1 /proc/modules | xargs; lab uname -r; wc -c; exit 5`;
    const { stdout, stderr, status } = await host.bash(script, { exec: ['--trap'], input: 'input' });
    expect(stderr.replaceAll('Error: vdpa: Device already exists.\n', '')).toBe('kernel answers: File exists\nrmmod: ERROR: Module vdpa is in use by: vdpa_sim vdpa_sim_net\n');
    expect(stdout).toBe('v0\nvdpa_sim_net vdpa_sim vringh vhost_iotlb vdpa\n6.1.0-vdpalab\n5\n');
    expect(status).toBe(5);
    expect((await host.run(['exec', '--trap', '--', 'no-such-program'])).status).toBe(127);
  });
});

describe('a lab that is up', { timeout }, () => {
  it('is shared by programs and shells, and shows devices that come later', async (context) => {
    needsEntry(context);
    expect((await host.run(['up'])).stdout).toMatch(/^lab lab is up \(process \d+\)\n$/);
    expect(await host.run(['up'])).toMatchObject({ status: 1, stderr: expect.stringContaining('a lab named lab runs already') as string });
    const first = host.start(['exec', '--', 'bash', '-c', 'ls /dev/vhost-vdpa-0; echo waiting; read -r; ls /dev/vhost-vdpa-0 /sys/bus/vdpa/devices; cat /proc/modules | wc -l']);
    const ended = outcome(first);
    await said(first, 'waiting');
    expect((await host.run(['status'])).stdout).toMatch(/^lab: process \d+, up \d+ s, no lab file, 0 modules loaded\n {2}process \d+: bash -c ls/);
    expect(await host.bash('modprobe -a vhost_vdpa vdpa_sim_net; vdpa dev add name v0 mgmtdev vdpasim_net')).toEqual({ stdout: '', stderr: '', status: 0 });
    first.stdin?.end('\n');
    expect(await ended).toEqual({ stdout: 'waiting\n/dev/vhost-vdpa-0\n/sys/bus/vdpa/devices:\nv0\n8\n'.replace('/sys', '\n/sys'), stderr: "ls: cannot access '/dev/vhost-vdpa-0': No such file or directory\n", status: 0 });
    expect(await host.run(['down'])).toEqual({ stdout: '', stderr: '', status: 0 });
    expect(await host.run(['down'])).toEqual({ stdout: '', stderr: 'no lab named lab runs\n', status: 1 });
  });

  it('takes a shell from another terminal', async (context) => {
    needsEntry(context);
    await host.run(['up']);
    const input = 'x=5\necho $x\nmodprobe vdpa\nfor i in 1 2\ndo echo $i\ndone\ncat /nosuch\nexit 4\n';
    expect(await host.run(['shell', '--name', 'lab'], { input })).toEqual({ stdout: '5\n1\n2\n', stderr: 'cat: /nosuch: No such file or directory\n', status: 4 });
    expect((await host.bash('cut -d" " -f1 /proc/modules')).stdout).toBe('vdpa\n');
    expect(await host.run(['shell', '--name', 'none'])).toMatchObject({ status: 2, stderr: 'vdpalab: no lab named none runs\n' });
  });

  it('ends what is in it when it goes down, and says so', async (context) => {
    needsEntry(context);
    await host.run(['up']);
    const inside = host.start(['exec', '--', 'bash', '-c', 'cd /sys/bus; echo in; sleep 1000']);
    const ended = outcome(inside);
    await said(inside, 'in');
    const { status, stderr } = await host.run(['down']);
    expect(status).toBe(1);
    expect(stderr).toMatch(/left behind: process \d+ \((bash|sleep)\) was still in the lab's namespace/);
    expect((await ended).status).toBeGreaterThan(128);
  });
});

describe('what is killed leaves nothing', { timeout }, () => {
  it('the lab: what is in it ends, the next one starts', async (context) => {
    needsEntry(context);
    const { stdout } = await host.run(['up']);
    const inside = host.start(['exec', '--', 'bash', '-c', 'cd /sys/bus; echo in; while :; do sleep 1000; done']);
    const ended = outcome(inside);
    await said(inside, 'in');
    process.kill(Number(/process (\d+)/.exec(stdout)?.[1]), 'SIGKILL');
    expect((await ended).status).toBeGreaterThan(128);
    expect((await host.run(['up'])).status).toBe(0);
    expect((await host.bash('ls -d /sys/bus')).stdout).toBe('/sys/bus\n');
  });

  it('the caller of a program with a lab of its own: program and lab end', async (context) => {
    needsEntry(context);
    const caller = host.start(['exec', '--', 'bash', '-c', 'echo in; cat /dev/zero >/dev/null']);
    await said(caller, 'in');
    caller.kill('SIGKILL');
    await once(caller, 'close');
    await expect.poll(() => host.leftovers(), { timeout: 10_000 }).toEqual([]);
  });

  it('the program: its caller says so, and the lab ends', async (context) => {
    needsEntry(context);
    expect((await host.bash('cd /sys/devices; kill -9 $$')).status).toBe(137);
    expect(host.leftovers()).toEqual([]);
  });

  it('the keeper of the namespace: the lab ends', async (context) => {
    needsEntry(context);
    await host.run(['up']);
    const { stdout } = await host.bash('lab true; pgrep -f "vdpalab-keeper.*$VDPALAB_RUNTIME_DIR"');
    process.kill(Number(stdout.split('\n')[0]), 'SIGKILL');
    await host.settled();
  });

  it('a program that took the mount into a namespace of its own: the lab ends all the same', async (context) => {
    needsEntry(context);
    await host.run(['up']);
    const hidden = host.start(['exec', '--', 'bash', '-c', 'setsid unshare -m sleep 60 </dev/null >/dev/null 2>&1 & sleep 0.3; echo $!']);
    let pid = '';
    hidden.stdout?.on('data', (part: Buffer) => void (pid += part.toString()));
    await once(hidden, 'exit');
    expect(await host.run(['down'])).toMatchObject({ status: 1, stderr: 'left behind: a namespace that a program made still has the mount\n' });
    process.kill(Number(pid), 'SIGKILL');
  });

  it('a signal to the caller is the program\'s', async (context) => {
    needsEntry(context);
    const caller = host.start(['exec', '--', 'bash', '-c', 'trap "echo got; exit 9" TERM; echo in; while :; do sleep 0.1; done']);
    const ended = outcome(caller);
    await said(caller, 'in');
    caller.kill('SIGTERM');
    expect(await ended).toEqual({ stdout: 'in\ngot\n', stderr: '', status: 9 });
  });
});

describe('where it cannot be', { timeout }, () => {
  it('says what is missing, with status 2', async (context) => {
    needsEntry(context);
    const without = ['unshare', '-m', '--propagation', 'private', '--', 'sh', '-c', 'mount -t tmpfs none /dev && exec "$@"', 'sh'];
    expect(await host.bash('true', { prefix: without })).toMatchObject({ status: 2, stderr: expect.stringContaining('/dev/fuse: not there') as string });
    expect(await host.run(['exec', '--name', 'none', '--', 'true'])).toMatchObject({ status: 2, stderr: 'vdpalab: no lab named none runs\n' });
    expect(await host.run(['exec', '--lab', '/no/such.yaml', '--', 'true'])).toMatchObject({ status: 2, stderr: expect.stringContaining('/no/such.yaml') as string });
  });

  it('goes by a user namespace for who is not root', async (context) => {
    needsEntry(context, 'setpriv');
    const other = new Host();
    const as = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', 'env', `VDPALAB_RUNTIME_DIR=/tmp/vdpalab-nobody-${process.pid}`];
    const { stdout, stderr, status } = await other.bash('modprobe vdpa; cat /sys/module/vdpa/refcnt /proc/modules | head -1; echo x >/dev/null; id -u', { prefix: as, cwd: '/' });
    expect({ stdout, stderr, status }).toEqual({ stdout: '0\n0\n', stderr: '', status: 0 });
    other.close();
  });
});
