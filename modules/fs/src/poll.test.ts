import { O_RDONLY, O_RDWR, POLLERR, POLLIN, POLLNVAL, POLLOUT, RLIMIT_NOFILE } from '@vdpalab/uapi';
import { expect, test } from 'vitest';
import { bootFs, refusal } from './testing/kernel.ts';

test('several files are watched at once, and the one that becomes ready ends the wait', async () => {
  const { k, root, task, inTask, leftovers } = await bootFs();
  await inTask(async () => {
    const fds = [k.ksys_eventfd(root, 0, 0), k.ksys_eventfd(root, 0, 0)];
    task(root, 'signaller', async () => {
      await k.msleep(3);
      await k.ksys_write(root, fds[1] as number, Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0));
    });
    const revents = await k.ksys_poll(root, [...fds.map((fd) => ({ fd, events: POLLIN })), { fd: -1, events: POLLIN }], -1);
    expect(revents).toEqual([0, POLLIN, 0]);
    expect(k.ktime_get()).toBe(3_000_000);
    const contexts = fds.map((fd) => k.eventfd_ctx_fdget(root, fd));
    expect(contexts.map((ctx) => ctx.wq.watchers.size)).toEqual([0, 0]);
    for (const ctx of contexts) k.eventfd_ctx_put(ctx);
    for (const fd of fds) await k.ksys_close(root, fd);
  });
  expect(leftovers()).toEqual([]);
});

test('a timeout ends the wait with nothing ready', async () => {
  const { k, root, inTask } = await bootFs();
  await inTask(async () => {
    const fd = k.ksys_eventfd(root, 0, 0);
    expect(await k.ksys_poll(root, [{ fd, events: POLLIN }], 7_000)).toEqual([0]);
    expect(k.ktime_get()).toBe(7_000);
    expect(await k.ksys_poll(root, [], 1_000)).toEqual([]);
    expect(k.ktime_get()).toBe(8_000);
    expect(await k.ksys_poll(root, [{ fd, events: POLLIN }], 0)).toEqual([0]);
  });
});

test('a closed descriptor is POLLNVAL, a file without poll is ready, errors come unasked', async () => {
  const { k, root, inTask } = await bootFs();
  k.ramfs_write('/tmp/f', '');
  await inTask(async () => {
    const file = await k.ksys_open(root, '/tmp/f', O_RDONLY);
    const bad = k.anon_inode_getfd(root, '[bad]', { poll: () => POLLERR }, null, O_RDWR);
    const revents = await k.ksys_poll(root, [{ fd: 40, events: 0 }, { fd: file, events: POLLIN | POLLOUT }, { fd: bad, events: POLLIN }], -1);
    expect(revents).toEqual([POLLNVAL, POLLIN | POLLOUT, POLLERR]);
  });
});

test('a file closed by another task stays open for its poller', async () => {
  const { k, root, inTask, task } = await bootFs();
  const log: string[] = [];
  await inTask(async () => {
    const fd = k.anon_inode_getfd(root, '[x]', { poll: () => 0, release: async () => void log.push('released') }, null, O_RDWR);
    task(root, 'closer', async () => {
      await k.ksys_close(root, fd);
      log.push('closed');
    });
    await k.ksys_poll(root, [{ fd, events: POLLIN }], 1_000_000);
    log.push('polled');
  });
  expect(log).toEqual(['closed', 'released', 'polled']);
});

test('more descriptors than the limit are EINVAL', async () => {
  const { k, root, inTask } = await bootFs();
  root.rlimits.set(RLIMIT_NOFILE, 1);
  const two = [{ fd: -1, events: 0 }, { fd: -1, events: 0 }];
  await expect(inTask(() => k.ksys_poll(root, two, 0))).rejects.toMatchObject(refusal('EINVAL', 'poll.count'));
});
