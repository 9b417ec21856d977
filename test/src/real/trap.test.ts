/** Unmodified programs whose system calls a lab answers: iproute2's vdpa and ip, kmod's insmod and rmmod, util-linux's dmesg. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createLab, type Lab } from '@vdpalab/lab';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { closeClean, OwnShell, run, Scratch, start, whyNoTrap, type Outcome } from './trapped.ts';

const missing = whyNoTrap(['vdpa', '-V'], ['ip', '-V'], ['insmod', '-V'], ['dmesg', '-V'], ['gcc', '--version']);

test.runIf(missing === null || process.env['VDPALAB_REQUIRE_REAL'] === '1')('calls can be trapped here', () => {
  expect(missing).toBeNull();
});

describe.runIf(missing === null)('a trapped program', () => {
  const scratch = new Scratch();
  const client = join(scratch.folder, 'client');
  let lab: Lab;

  beforeAll(async () => {
    const source = new URL('../../testdata/trapped-calls.c', import.meta.url).pathname;
    const compiled = spawnSync('gcc', ['-O1', '-o', client, source, '-pthread'], { encoding: 'utf8' });
    if (compiled.status !== 0) throw new Error(compiled.stderr);
    lab = await createLab({ clock: 'paced' });
  });
  afterAll(async () => {
    scratch.close();
    await closeClean(lab);
  });

  const calls = async (what: string): Promise<string[]> => {
    const { stdout, stderr, status } = await run(lab, client, what);
    expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
    return stdout.split('\n').slice(0, -1);
  };

  test('starts as any program does: streams kept by execve, no signal ignored, no descriptor left', async () => {
    expect(await calls('fresh')).toEqual(['fcntl(fd, F_GETFD)=0', 'fcntl(fd, F_GETFD)=0', 'fcntl(fd, F_GETFD)=0', 'dup(0)=3']);
  });

  test('that is not there, or cannot be executed, ends as with a shell', async () => {
    expect(await run(lab, 'nosuch-program')).toEqual({ stdout: '', stderr: 'vdpalab: nosuch-program: No such file or directory\n', status: 127 });
    expect(await run(lab, scratch.file('data', 'x'))).toMatchObject({ status: 126 });
    expect(await run(lab, 'sh', '-c', 'kill -TERM $$')).toMatchObject({ status: 'SIGTERM' });
  });

  test('gets the errno for every address, size and descriptor that is wrong', async () => {
    expect(await calls('faults')).toMatchInlineSnapshot(`
      [
        "bind(fd, bad, sizeof(from)):EFAULT",
        "bind(fd, (const struct sockaddr *)&anybody, 4096):EINVAL",
        "bind(fd, (const struct sockaddr *)&anybody, 2):EINVAL",
        "getsockname(fd, bad, &len):EFAULT",
        "getsockname(fd, (struct sockaddr *)&from, bad):EFAULT",
        "getsockname(fd, (struct sockaddr *)&from, &negative):EINVAL",
        "setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, bad, 4):EFAULT",
        "setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, room, -1):EINVAL",
        "send(fd, bad, 100, 0):EFAULT",
        "send(fd, beyond, 100, 0):EFAULT",
        "send(fd, room, SIZE_MAX, 0):EMSGSIZE",
        "send(fd, edge - 8, 16, 0):EFAULT",
        "sendmsg(fd, bad, 0):EFAULT",
        "sendmsg(fd, &msg, 0):EFAULT",
        "sendmsg(fd, &msg, 0):EMSGSIZE",
        "sendmsg(fd, &msg, 0):EMSGSIZE",
        "sendmsg(fd, &msg, 0):EINVAL",
        "ask(fd)=32",
        "recv(fd, bad, 100, 0):EFAULT",
        "hear(fd)=2",
        "recv(fd, room, sizeof(room), MSG_DONTWAIT):EAGAIN",
        "ask(fd)=32",
        "recvmsg(fd, &msg, 0):EFAULT",
        "recv(fd, room, 10, 0) == 10=1",
        "recv(fd, room, 0, MSG_PEEK | MSG_TRUNC)=36",
        "hear(fd)=2",
        "syscall(SYS_init_module, bad, 100, ""):EFAULT",
        "syscall(SYS_init_module, room, 100, bad):EFAULT",
        "syscall(SYS_init_module, room, SIZE_MAX, ""):ENOMEM",
        "syscall(SYS_init_module, room, 0, ""):ENOEXEC",
        "syscall(SYS_finit_module, 77, "", 0):EBADF",
        "syscall(SYS_finit_module, 0, bad, 0):EFAULT",
        "syscall(SYS_finit_module, 0, "", 0):EINVAL",
        "syscall(SYS_delete_module, bad, 0):EFAULT",
        "syscall(SYS_delete_module, "nosuch", 0):ENOENT",
        "syscall(SYS_syslog, 3, bad, 100):EFAULT",
        "syscall(SYS_syslog, 3, room, -1):EINVAL",
        "syscall(SYS_syslog, 99, room, 0):EINVAL",
        "ioctl(fd, SIOCGIFINDEX, bad):EFAULT",
        "if_nametoindex("lo")=0",
        "if_nametoindex("nosuch")=0",
        "socket(AF_NETLINK, SOCK_STREAM, NETLINK_ROUTE):ESOCKTNOSUPPORT",
      ]
    `);
  });

  test('shares a socket by dup and fork, past the end of whoever opened it', async () => {
    expect(await calls('share')).toEqual(['fcntl(fd, F_GETFD)=1', 'ask(copy)=32', 'hear(copy)=16', 'hear(copy)=2', 'ask(copy)=32', 'hear(copy)=16']);
  });

  test('may have threads that call at the same time', async () => {
    expect(await calls('threads')).toEqual(['good=160']);
  });

  test('waits for a message until one comes, a signal, or the time it has set; and sees by poll whether one is there', async () => {
    expect(await calls('waits')).toEqual([
      'recv(quick, &limit, 1, 0):EAGAIN', 'recv(quick, &limit, 1, 0):EINTR', 'setsockopt(quick, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit))=0',
      'recv(quick, &limit, 1, 0):EAGAIN', 'poll(&ready, 1, 0)=0', 'ask(fd)=32', 'poll(&ready, 1, 1000)=1', 'hear(fd)=16', 'poll(&ready, 1, 0)=1', 'hear(fd)=2',
      'poll(&ready, 1, 0)=0',
    ]);
  });

  test('without room for a descriptor gets EMFILE', async () => {
    expect(await calls('full')).toEqual(['open_socket(0):EMFILE']);
  });

  test('may be killed while it waits', async () => {
    const { pid, outcome } = await start(lab, [client, 'block']);
    await expect.poll(() => readFileSync(`/proc/${pid}/wchan`, 'utf8')).toMatch(/seccomp/);
    process.kill(pid, 'SIGKILL');
    expect(await outcome).toMatchObject({ status: 'SIGKILL' });
    expect(lab.leftovers()).toEqual([]);
  });

  test('gets ENOSYS once nobody answers any more', async () => {
    const { outcome, forsake } = await start(lab, [client, 'forsaken']);
    await forsake();
    expect((await outcome).stdout).toMatch(/^(open=3\n|open:ENOSYS\n)send:ENOSYS\n$/);
  });

  test('reads the log: dmesg', async () => {
    const shell = await OwnShell.open(lab);
    expect(await run(lab, 'dmesg', '-S')).toEqual(await shell.run('dmesg'));
    await shell.close();
    expect(await run(lab, 'dmesg', '-S', '-C')).toEqual({ stdout: '', stderr: '', status: 0 });
    expect(lab.dmesg).toEqual([]);
  });
});

/** What the simulators take, dependencies first. */
const SIMULATORS = ['vdpa/vdpa', 'vhost/vhost_iotlb', 'vhost/vringh', 'vdpa/vdpa_sim/vdpa_sim', 'vdpa/vdpa_sim/vdpa_sim_net', 'vdpa/vdpa_sim/vdpa_sim_blk'].map((name) => `drivers/${name}`);

/** Lines of a file of cases. */
const casesOf = (name: string): string[] => readFileSync(new URL(`../../../tools/shell/testdata/${name}`, import.meta.url), 'utf8')
  .split('\n').filter((line) => line !== '' && !line.startsWith('#'));

describe.runIf(missing === null)('the real programs on one lab, the lab\'s own on another', () => {
  const scratch = new Scratch();
  let files: string[];
  let lab: Lab;
  let other: Lab;
  let own: OwnShell;

  beforeAll(async () => {
    [lab, other] = [await createLab({ clock: 'paced' }), await createLab({ clock: 'paced' })];
    files = await scratch.modules(lab, ...SIMULATORS);
    own = await OwnShell.open(other);
  });
  afterAll(async () => {
    scratch.close();
    await own.close();
    await closeClean(lab);
    await closeClean(other);
  });

  /** Run lines one after the other in one trapped bash. */
  async function script(lines: readonly string[]): Promise<Outcome[]> {
    const path = scratch.file('script', `${lines.map((line, n) => `{ ${line}\n} >${scratch.folder}/${n}.out 2>${scratch.folder}/${n}.err\necho $?`).join('\n')}\n`);
    const { stdout, stderr, status } = await run(lab, 'bash', path);
    expect(status, stderr).toBe(0);
    const read = (n: number, kind: string): string => readFileSync(join(scratch.folder, `${n}.${kind}`), 'utf8');
    return stdout.split('\n').slice(0, -1).map((text, n) => ({ stdout: read(n, 'out'), stderr: read(n, 'err'), status: Number(text) }));
  }

  /** What differs, line by line. @param mask what is the programs' own in stderr */
  async function compare(lines: readonly string[], ownLines: readonly string[] = lines): Promise<unknown[]> {
    const real = await script(lines);
    const different: unknown[] = [];
    for (const [n, line] of ownLines.entries()) {
      const got = await own.run(line);
      if (JSON.stringify(got) !== JSON.stringify(real[n])) different.push({ line, wanted: real[n], got });
    }
    expect(real).toHaveLength(lines.length);
    return different;
  }

  test('insmod loads the lab\'s modules, and says what the lab refuses', async () => {
    const path = (name: string): string => `/lib/modules/${other.config.release}/kernel/${name}.ko`;
    const [first = '', ...rest] = files;
    const real = [...rest.slice(2, 3), first, first, ...rest].map((file) => `insmod ${file}`);
    const mine = [...SIMULATORS.slice(3, 4), SIMULATORS[0] as string, ...SIMULATORS].map((name) => `insmod ${path(name)}`);
    const masked = (outcome: Outcome): Outcome => ({ ...outcome, stderr: outcome.stderr.replaceAll(scratch.folder, 'DIR').replaceAll(/\/lib\/modules\/\S*\//g, 'DIR/') });
    const got: Outcome[] = [];
    for (const line of mine) got.push(masked(await own.run(line)));
    expect((await script(real)).map(masked)).toEqual(got);
    expect(got[0]).toEqual({ stdout: '', stderr: 'insmod: ERROR: could not insert module DIR/vdpa_sim.ko: Unknown symbol in module\n', status: 1 });
    expect(got[2]).toEqual({ stdout: '', stderr: 'insmod: ERROR: could not insert module DIR/vdpa.ko: File exists\n', status: 1 });
    expect(lab.loader.modules().map((m) => m.name)).toEqual(other.loader.modules().map((m) => m.name));
  });

  test('vdpa prints the same and ends the same, call by call', async () => {
    expect(await compare(casesOf('vdpa.cases').filter((line) => !/\$[NM]6/.test(line)))).toEqual([]);
  });

  test('ip link prints the same', async () => {
    expect(await compare(['ip link show', 'ip -j link', 'ip -s link show lo', 'ip link set lo up', 'ip link', 'ip link set nosuch up', 'ip link show eth9'])).toEqual([]);
  });

  test('vdpa says what the lab refuses', async () => {
    expect(await script(['vdpa dev add name a mgmtdev vdpasim_net', 'vdpa dev add name a mgmtdev vdpasim_net', 'vdpa dev del a'])).toEqual([
      { stdout: '', stderr: '', status: 0 }, { stdout: '', stderr: 'kernel answers: File exists\n', status: 1 }, { stdout: '', stderr: '', status: 0 },
    ]);
  });
});
