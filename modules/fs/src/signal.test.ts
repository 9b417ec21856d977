import { CAP_KILL, SIGALRM, SIGCHLD, SIGKILL, SIGPIPE, SIGSTOP, SIGTERM, SIGUSR1, SIGWINCH, WNOHANG } from '@vdpalab/uapi';
import { expect, test } from 'vitest';
import { bootFs, refusal } from './testing/kernel.ts';
import { decodeText } from './text.ts';

test('a signal ends an interruptible sleep and not another one', async () => {
  const { k, root, user, task, inTask } = await bootFs();
  const never = k.init_waitqueue_head('never');
  let over = false;
  const seen: unknown[] = [];
  task(user, 'nap', async () => {
    const [end] = k.ksys_pipe(user);
    await k.ksys_read(user, end, 1).catch((error: unknown) => void seen.push(error));
  });
  task(root, 'block', () => k.wait_event(never, () => over, 'something firm'));
  await inTask(async () => {
    await k.msleep(1);
    k.ksys_kill(root, user.pid, SIGTERM);
    k.ksys_sigaction(root, SIGUSR1, 'catch');
    k.ksys_kill(user, root.pid, 0); // asks only, and may not
  }).catch((error: unknown) => void seen.push(error));
  expect(seen).toEqual(expect.arrayContaining([expect.objectContaining({ errno: 'ERESTARTSYS' }), expect.objectContaining({ errno: 'EPERM' })]));
  expect(user.fatalSignal).toBe(SIGTERM);
  over = true;
  k.wake_up(never);
});

test('who may signal whom: the same user, or CAP_KILL', async () => {
  const { k, root, user } = await bootFs();
  const mighty = k.process_create('mighty', { uid: 5, caps: [CAP_KILL] });
  expect(() => k.ksys_kill(user, root.pid, SIGTERM)).toThrow(expect.objectContaining(refusal('EPERM')));
  k.ksys_kill(mighty, root.pid, SIGTERM);
  expect(root.fatalSignal).toBe(SIGTERM);
  expect(() => k.ksys_kill(root, 999, SIGTERM)).toThrow(expect.objectContaining(refusal('ESRCH')));
  expect(() => k.ksys_kill(root, -999, 0)).toThrow(expect.objectContaining(refusal('ESRCH')));
  for (const signal of [-1, 32, 1.5]) expect(() => k.ksys_kill(root, user.pid, signal)).toThrow(expect.objectContaining(refusal('EINVAL')));
});

test('a signal is dropped, caught or fatal as the process says', async () => {
  const { k, root } = await bootFs();
  for (const harmless of [SIGCHLD, SIGWINCH]) k.ksys_kill(root, root.pid, harmless);
  k.ksys_sigaction(root, SIGUSR1, 'ignore');
  k.ksys_kill(root, root.pid, SIGUSR1);
  expect([root.fatalSignal, k.ksys_sigtake(root)]).toEqual([null, null]);
  k.ksys_sigaction(root, SIGUSR1, 'catch');
  k.ksys_sigaction(root, SIGTERM, 'catch');
  k.ksys_kill(root, root.pid, SIGTERM);
  k.ksys_kill(root, root.pid, SIGUSR1);
  expect([root.fatalSignal, k.ksys_sigtake(root), k.ksys_sigtake(root), k.ksys_sigtake(root)]).toEqual([null, SIGUSR1, SIGTERM, null]);
  k.ksys_kill(root, root.pid, SIGUSR1);
  k.ksys_sigaction(root, SIGUSR1, 'ignore'); // ignoring forgets what is pending
  expect(k.ksys_sigtake(root)).toBeNull();
  for (const firm of [SIGKILL, SIGSTOP, 0, 99]) expect(() => k.ksys_sigaction(root, firm, 'ignore')).toThrow(expect.objectContaining(refusal('EINVAL')));
  const child = k.ksys_fork(root);
  expect([...child.actions]).toEqual([[SIGUSR1, 'ignore']]);
});

test('groups: a child is of its parent\'s, or makes its own', async () => {
  const { k, root } = await bootFs();
  const [a, b] = [k.ksys_fork(root), k.ksys_fork(root)];
  expect(a.pgid).toBe(root.pgid);
  k.ksys_setpgid(root, a.pid, 0);
  k.ksys_kill(root, -a.pid, SIGTERM);
  expect([a.fatalSignal, b.fatalSignal, root.fatalSignal]).toEqual([SIGTERM, null, null]);
  k.ksys_kill(b, 0, SIGPIPE);
  expect([b.fatalSignal, root.fatalSignal]).toEqual([SIGPIPE, SIGPIPE]);
  expect(() => k.ksys_setpgid(a, b.pid, 0)).toThrow(expect.objectContaining(refusal('ESRCH')));
  expect(() => k.ksys_setpgid(a, 0, -1)).toThrow(expect.objectContaining(refusal('EINVAL')));
});

test('a child is a zombie until it is waited for; then it is gone', async () => {
  const { k, root, task, inTask, leftovers } = await bootFs();
  const child = k.ksys_fork(root, 'child');
  const stat = async (): Promise<string> => {
    const fd = await k.ksys_open(root, `/proc/${child.pid}/stat`, 0);
    const text = decodeText(await k.ksys_read(root, fd, 64));
    await k.ksys_close(root, fd);
    return text.slice(0, 11);
  };
  await inTask(async () => {
    expect(await k.ksys_wait4(root, -1, WNOHANG)).toBeNull();
    await expect(k.ksys_wait4(root, 999, 0)).rejects.toMatchObject(refusal('ECHILD'));
    task(child, 'child', async () => {
      await k.msleep(5);
      await k.process_exit(child, 3 << 8);
    });
    await k.msleep(9);
    expect(await stat()).toBe(`${child.pid} (child) Z`);
    k.ksys_kill(root, child.pid, SIGTERM); // nothing happens to a zombie
    expect(await k.ksys_wait4(root, child.pid, 0)).toEqual({ pid: child.pid, status: 3 << 8 });
    await expect(stat()).rejects.toMatchObject(refusal('ENOENT'));
    await expect(k.ksys_wait4(root, -1, 0)).rejects.toMatchObject(refusal('ECHILD'));
  });
  expect(leftovers()).toEqual([]);
});

test('a parent that exits leaves no zombies, and one that ignores SIGCHLD gets none', async () => {
  const { k, root, inTask } = await bootFs();
  const parent = k.ksys_fork(root, 'parent');
  const [dead, living] = [k.ksys_fork(parent, 'dead'), k.ksys_fork(parent, 'living')];
  await inTask(async () => {
    await k.process_exit(dead, SIGKILL);
    await k.process_exit(parent);
    await expect(k.ksys_stat(root, `/proc/${dead.pid}`, true)).rejects.toMatchObject(refusal('ENOENT'));
    expect(living.parent).toBeNull();
    await k.process_exit(living);
    await expect(k.ksys_stat(root, `/proc/${living.pid}`, true)).rejects.toMatchObject(refusal('ENOENT'));
    expect(await k.ksys_wait4(root, parent.pid, 0)).toEqual({ pid: parent.pid, status: 0 });
    k.ksys_sigaction(root, SIGCHLD, 'ignore');
    const unwanted = k.ksys_fork(root);
    await k.process_exit(unwanted);
    await expect(k.ksys_wait4(root, unwanted.pid, 0)).rejects.toMatchObject(refusal('ECHILD'));
  });
});

test('an alarm comes after its time, once, unless it is disarmed or the process has exited', async () => {
  const { k, root, user, hw, inTask } = await bootFs();
  k.ksys_sigaction(root, SIGALRM, 'catch');
  await inTask(async () => {
    k.ksys_alarm(root, 5_000_000);
    await k.ksys_poll(root, [], -1).catch((error: unknown) => expect(error).toMatchObject({ errno: 'ERESTARTSYS' }));
    expect(hw.machine.sched.now).toBe(5_000_000);
    expect([k.ksys_sigtake(root), k.ksys_sigtake(root)]).toEqual([SIGALRM, null]);
    k.ksys_alarm(root, 5_000_000);
    k.ksys_alarm(root, 0);
    const child = k.ksys_fork(user);
    k.ksys_alarm(child, 1_000_000);
    await k.process_exit(child);
    await k.msleep(20);
    expect(k.ksys_sigtake(root)).toBeNull();
  });
});
