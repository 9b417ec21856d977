import { CAP_IPC_LOCK, CAP_NET_ADMIN, MAP_SHARED, O_CREAT, O_RDONLY, O_RDWR, PROT_READ, RLIMIT_MEMLOCK, RLIMIT_NOFILE } from '@vdpalab/uapi';
import { expect, test } from 'vitest';
import { decodeText, encodeText } from './text.ts';
import { bootFs, refusal } from './testing/kernel.ts';

test('root has all capabilities, others none, unless said', async () => {
  const { k, root, user } = await bootFs();
  expect(root.cred.caps.size).toBe(41);
  expect(user.cred.caps.size).toBe(0);
  expect(user.cred.gid).toBe(1000);
  const vmm = k.process_create('qemu', { uid: 107, gid: 108, caps: [CAP_IPC_LOCK], cwd: '/tmp' });
  expect(vmm).toMatchObject({ pid: 3, comm: 'qemu', cwd: '/tmp', exited: false, cred: { uid: 107, gid: 108 } });
  expect([...vmm.cred.caps]).toEqual([CAP_IPC_LOCK]);
  expect([root.rlimits.get(RLIMIT_NOFILE), root.rlimits.get(RLIMIT_MEMLOCK)]).toEqual([1024, 8_388_608]);
});

test('current and capable answer for the running task; kernel threads may all', async () => {
  const { k, root, user, task, run } = await bootFs();
  const seen: unknown[] = [];
  for (const proc of [root, user]) {
    task(proc, proc.comm, async () => {
      await k.cond_resched();
      seen.push([k.current()?.comm, k.capable(CAP_NET_ADMIN)]);
    });
  }
  k.kthread_run('kthread', async () => void seen.push([k.current(), k.capable(CAP_NET_ADMIN)]));
  await run();
  expect(seen).toHaveLength(3);
  expect(seen).toEqual(expect.arrayContaining([['root', true], ['user', false], [null, true]]));
  expect(k.current()).toBeNull();
});

test('an exit unmaps, closes in order, and waits for each release', async () => {
  const { k, inTask, leftovers } = await bootFs();
  const log: string[] = [];
  const proc = k.process_create('vmm');
  const file = (name: string): number => k.anon_inode_getfd(proc, name, {
    mmap: async (_f, area) => { area.close = (): undefined => void log.push(`unmap ${name}`); },
    release: async () => {
      await k.msleep(1);
      log.push(`release ${name}`);
    },
  }, null, O_RDWR);
  await inTask(async () => {
    const [a, b] = [file('a'), file('b')];
    await k.ksys_mmap(proc, 0, 4096, PROT_READ, MAP_SHARED, a, 0);
    await k.ksys_close(proc, a); // only the mapping holds it now
    expect(b).toBe(1);
    await k.process_exit(proc);
    log.push('exited');
    await expect(k.process_exit(proc)).rejects.toThrow('exits twice');
    await expect(k.ksys_open(proc, '/tmp', O_RDONLY)).rejects.toMatchObject(refusal('ESRCH'));
    expect(() => k.process_run(proc, 'x', async () => {})).toThrow(expect.objectContaining(refusal('ESRCH')));
    expect(() => k.ksys_eventfd(proc, 0, 0)).toThrow(expect.objectContaining(refusal('ESRCH')));
    expect(() => k.ksys_pipe(proc)).toThrow(expect.objectContaining(refusal('ESRCH')));
  });
  expect(log).toEqual(['unmap a', 'release b', 'release a', 'exited']);
  expect(k.processes().map((p) => p.pid)).toEqual([1, 2]);
  expect(proc.exited).toBe(true);
  expect(leftovers()).toEqual([]);
});

test('a process that exits while it opens a file does not keep the file', async () => {
  const { k, task, run } = await bootFs();
  const proc = k.process_create('opener');
  const major = k.alloc_chrdev_region('slow', 0, 1);
  let releases = 0;
  k.cdev_add(major, 0, { open: () => k.msleep(5), release: async () => void releases++ }, null, null);
  k.devtmpfs_create_node('slow', major, 0, 0o600);
  let failure: unknown;
  task(proc, 'open', async () => {
    await k.ksys_open(proc, '/dev/slow', O_RDWR).catch((error: unknown) => { failure = error; });
  });
  task(proc, 'exit', async () => {
    await k.msleep(1);
    await k.process_exit(proc);
  });
  await run();
  expect(failure).toMatchObject(refusal('ESRCH'));
  expect(releases).toBe(1);
  expect(k.fs_leftovers().join()).not.toContain('open file');
});

test('/proc/PID tells state, names and descriptors', async () => {
  const { k, root, user, task, inTask } = await bootFs();
  const cat = async (path: string, as = root): Promise<string> => {
    const fd = await k.ksys_open(as, path, O_RDONLY);
    const text = decodeText(await k.ksys_read(as, fd, 4096));
    await k.ksys_close(as, fd);
    return text;
  };
  await inTask(async () => {
    const [sleeper, blocked] = [k.process_create('sleeper'), k.process_create('a very long command')];
    const [end] = k.ksys_pipe(sleeper);
    task(sleeper, 'nap', async () => void await k.ksys_read(sleeper, end, 1).catch(() => {}));
    const never = k.init_waitqueue_head('never');
    let over = false;
    task(blocked, 'wait', () => k.wait_event(never, () => over, 'last close of /dev/vhost-vdpa-0', () => [], 'vhost_vdpa_remove'));
    await k.msleep(1);
    expect((await cat('/proc/3/stat')).slice(0, 13)).toBe('3 (sleeper) S');
    expect((await cat('/proc/4/stat')).slice(0, 21)).toBe('4 (a very long com) D');
    expect(await cat('/proc/3/wchan')).toBe('pipe_read');
    expect(await cat('/proc/4/wchan')).toBe('vhost_vdpa_remove');
    expect(await cat('/proc/2/wchan')).toBe('0');
    expect((await cat('/proc/self/stat')).slice(0, 10)).toBe('1 (root) R');
    expect(await k.ksys_readlink(user, '/proc/self')).toBe('2');
    expect(await cat('/proc/self/status', user)).toContain('Uid:\t1000\t1000\t1000\t1000\n');
    expect(await cat('/proc/3/cmdline')).toBe('sleeper\0');
    expect(await k.ksys_readlink(root, '/proc/3/cwd')).toBe('/');
    expect(await k.ksys_readdir(root, '/proc/3/fd')).toEqual([{ name: '0', kind: 'link' }, { name: '1', kind: 'link' }]);
    expect(await k.ksys_readlink(root, '/proc/3/fd/1')).toBe('pipe:[1]');
    for (const name of ['2', '01', 'x']) await expect(k.ksys_readlink(root, `/proc/3/fd/${name}`)).rejects.toMatchObject(refusal('ENOENT'));
    const gone = await k.ksys_open(root, '/tmp/gone', O_RDWR | O_CREAT);
    expect(await k.ksys_readlink(root, `/proc/self/fd/${gone}`)).toBe('/tmp/gone');
    await k.ksys_unlink(root, '/tmp/gone');
    expect(await k.ksys_readlink(root, `/proc/self/fd/${gone}`)).toBe('/tmp/gone (deleted)');
    await k.ksys_close(root, gone);
    const fd = await k.ksys_open(root, '/proc/3/comm', O_RDWR);
    await k.ksys_write(root, fd, encodeText('renamed\n'));
    expect(sleeper.comm).toBe('renamed');
    over = true;
    k.wake_up(never);
    await k.process_exit(sleeper);
    await expect(k.ksys_stat(root, '/proc/3', true)).rejects.toMatchObject(refusal('ENOENT'));
  });
});

test('a fork shares the open files and copies the rest', async () => {
  const { k, user, inTask, leftovers } = await bootFs();
  await inTask(async () => {
    const fd = await k.ksys_open(user, '/dev/null', O_RDWR);
    user.rlimits.set(RLIMIT_NOFILE, 5);
    const child = k.ksys_fork(user, 'child');
    expect(child).toMatchObject({ comm: 'child', cwd: user.cwd, cred: { uid: user.cred.uid } });
    expect(child.pid).toBeGreaterThan(user.pid);
    expect(child.files.get(fd)).toBe(user.files.get(fd));
    expect(child.rlimits.get(RLIMIT_NOFILE)).toBe(5);
    child.cred.caps.add(CAP_NET_ADMIN);
    expect(user.cred.caps.size).toBe(0);
    await k.process_exit(child);
    expect(user.files.get(fd)?.count).toBe(1);
    await k.ksys_close(user, fd);
    expect(() => k.ksys_fork(child)).toThrow(expect.objectContaining(refusal('ESRCH')));
  });
  expect(leftovers()).toEqual([]);
});
