import { EFD_NONBLOCK, EFD_SEMAPHORE, EVENTFD_COUNT_MAX, POLLERR, POLLIN, POLLOUT, SEEK_SET } from '@vdpalab/uapi';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { bootFs, refusal } from './testing/kernel.ts';

async function withEventfd(initval = 0, flags = 0) {
  const kernel = await bootFs();
  const { k, root } = kernel;
  const fd = k.ksys_eventfd(root, initval, flags);
  const bytes = (value: bigint): Uint8Array => {
    const out = new Uint8Array(8);
    new DataView(out.buffer).setBigUint64(0, value, true);
    return out;
  };
  return {
    ...kernel, fd,
    read: async () => new DataView((await k.ksys_read(root, fd, 8)).buffer).getBigUint64(0, true),
    write: (value: bigint) => k.ksys_write(root, fd, bytes(value)),
    poll: async () => (await k.ksys_poll(root, [{ fd, events: POLLIN | POLLOUT }], 0))[0],
  };
}

test('writes add up and a read takes all', async () => {
  const { inTask, read, write, poll } = await withEventfd(2);
  await inTask(async () => {
    await write(3n);
    expect(await poll()).toBe(POLLIN | POLLOUT);
    expect(await read()).toBe(5n);
    expect(await poll()).toBe(POLLOUT);
  });
});

test('a semaphore gives one at a time', async () => {
  const { inTask, read, poll } = await withEventfd(2, EFD_SEMAPHORE);
  await inTask(async () => {
    expect([await read(), await read(), await poll()]).toEqual([1n, 1n, POLLOUT]);
  });
});

test('a read waits for a signal from atomic context, in state S', async () => {
  const { k, root, inTask, read, fd } = await withEventfd();
  const ctx = k.eventfd_ctx_fdget(root, fd);
  await inTask(async () => {
    k.mod_timer('irq', 1_000, () => k.eventfd_signal(ctx, 1));
    expect(await read()).toBe(1n);
    expect(k.ktime_get()).toBe(1_000);
  });
  k.eventfd_ctx_put(ctx);
});

test('a full counter makes writers wait until it is read, and signals saturate it', async () => {
  const { k, root, inTask, task, read, write, poll, fd } = await withEventfd();
  const ctx = k.eventfd_ctx_fdget(root, fd);
  const log: string[] = [];
  await inTask(async () => {
    await write(EVENTFD_COUNT_MAX);
    expect(await poll()).toBe(POLLIN);
    task(root, 'writer', async () => {
      await write(1n);
      log.push('written');
    });
    await k.msleep(1);
    log.push('reading');
    expect(await read()).toBe(EVENTFD_COUNT_MAX);
    await k.msleep(1);
    expect(ctx.count).toBe(1n);
    await write(EVENTFD_COUNT_MAX - 1n);
    k.eventfd_signal(ctx, 7);
    expect(ctx.count).toBe(EVENTFD_COUNT_MAX + 1n);
    expect(await poll()).toBe(POLLIN | POLLERR);
  });
  expect(log).toEqual(['reading', 'written']);
});

test('with EFD_NONBLOCK nothing waits', async () => {
  const { inTask, read, write } = await withEventfd(0, EFD_NONBLOCK);
  await inTask(async () => {
    await expect(read()).rejects.toMatchObject(refusal('EAGAIN', 'eventfd.nonblock'));
    await write(EVENTFD_COUNT_MAX);
    await expect(write(1n)).rejects.toMatchObject(refusal('EAGAIN', 'eventfd.nonblock'));
  });
});

test('short transfers, the forbidden value and unknown flags are EINVAL; an eventfd has no positions', async () => {
  const { k, root, inTask, fd, write } = await withEventfd(1);
  await inTask(async () => {
    await expect(k.ksys_read(root, fd, 7)).rejects.toMatchObject(refusal('EINVAL', 'eventfd.length'));
    await expect(k.ksys_write(root, fd, new Uint8Array(7))).rejects.toMatchObject(refusal('EINVAL', 'eventfd.length'));
    await expect(write(EVENTFD_COUNT_MAX + 1n)).rejects.toMatchObject(refusal('EINVAL', 'eventfd.value'));
    await expect(k.ksys_lseek(root, fd, 0, SEEK_SET)).rejects.toMatchObject(refusal('ESPIPE'));
    await expect(k.ksys_pread(root, fd, 8, 0)).rejects.toMatchObject(refusal('ESPIPE', 'io.stream'));
  });
  expect(() => k.ksys_eventfd(root, 0, 2)).toThrow(expect.objectContaining(refusal('EINVAL', 'eventfd.flags')));
});

test('a kernel user keeps the counter when the file is closed, and must put it once', async () => {
  const { k, root, inTask, fd, leftovers } = await withEventfd();
  const ctx = k.eventfd_ctx_fdget(root, fd);
  let woken = 0;
  ctx.wq.watchers.add((): undefined => void woken++);
  await inTask(() => k.ksys_close(root, fd));
  expect(woken).toBe(1);
  expect(leftovers()).toEqual(['eventfd 1: 1 references']);
  k.eventfd_signal(ctx, 3);
  expect([k.eventfd_ctx_do_read(ctx), k.eventfd_ctx_do_read(ctx)]).toEqual([3n, 0n]);
  expect(woken).toBe(3);
  k.eventfd_ctx_put(ctx);
  expect(leftovers()).toEqual([]);
  expect(() => k.eventfd_ctx_put(ctx)).toThrow('more often');
});

test('another file is no eventfd', async () => {
  const { k, root, inTask } = await bootFs();
  await inTask(async () => {
    const [readEnd] = k.ksys_pipe(root);
    expect(() => k.eventfd_ctx_fdget(root, readEnd)).toThrow(expect.objectContaining(refusal('EINVAL', 'eventfd.kind')));
    expect(() => k.eventfd_ctx_fdget(root, -1)).toThrow(expect.objectContaining(refusal('EBADF')));
  });
});

test('whatever the order of readers, writers and signals, nothing is lost or made up', async () => {
  await fc.assert(fc.asyncProperty(fc.integer({ min: 0, max: 1000 }), fc.array(fc.nat(9), { maxLength: 8 }), async (seed, amounts) => {
    const { k, hw, process } = await (async () => {
      const kernel = await bootFs(seed);
      return { ...kernel, process: kernel.root };
    })();
    const fd = k.ksys_eventfd(process, 0, 0);
    const ctx = k.eventfd_ctx_fdget(process, fd);
    const total = amounts.reduce((sum, n) => sum + n, 0);
    let got = 0;
    k.process_run(process, 'reader', async () => {
      while (got < total) got += Number(new DataView((await k.ksys_read(process, fd, 8)).buffer).getBigUint64(0, true));
    });
    amounts.forEach((n, i) => {
      const value = new Uint8Array(8);
      value[0] = n;
      if (i % 2 === 0) k.process_run(process, `writer ${i}`, async () => void await k.ksys_write(process, fd, value));
      else k.mod_timer(`irq ${i}`, i, () => k.eventfd_signal(ctx, n));
    });
    expect(await hw.sched.run(10_000)).toEqual({ kind: 'idle' });
    expect(got).toBe(total);
    expect(ctx.count).toBe(0n);
  }), { numRuns: 25 });
});
