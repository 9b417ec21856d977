import { O_NONBLOCK, POLLERR, POLLHUP, POLLIN, POLLOUT, RLIMIT_NOFILE, SEEK_SET } from '@vdpalab/uapi';
import { expect, test } from 'vitest';
import { decodeText, encodeText } from './text.ts';
import { bootFs, refusal } from './testing/kernel.ts';

async function withPipe() {
  const kernel = await bootFs();
  const { k, root } = kernel;
  const [r, w] = k.ksys_pipe(root);
  return {
    ...kernel, r, w,
    read: async (len = 100) => decodeText(await k.ksys_read(root, r, len)),
    write: (text: string) => k.ksys_write(root, w, encodeText(text)),
    poll: async (fd: number) => (await k.ksys_poll(root, [{ fd, events: POLLIN | POLLOUT }], 0))[0],
  };
}

test('what goes in comes out, across the end of the ring too', async () => {
  const { inTask, read, write } = await withPipe();
  await inTask(async () => {
    for (let i = 0; i < 20; i++) {
      expect(await write(`${i}`.padStart(5000, '-'))).toBe(5000);
      expect(await read(4990)).toBe('-'.repeat(4990));
      expect(await read()).toBe(`${i}`.padStart(10, '-'));
    }
  });
});

test('a reader waits for data, and gets the end when no writer is left', async () => {
  const { k, root, inTask, task, read, write, w, poll, r, leftovers } = await withPipe();
  await inTask(async () => {
    task(root, 'writer', async () => {
      await k.msleep(1);
      await write('late');
      await k.msleep(1);
      await k.ksys_close(root, w);
    });
    expect([await read(), await read()]).toEqual(['late', '']);
    expect(await poll(r)).toBe(POLLHUP);
    await k.ksys_close(root, r);
  });
  expect(leftovers()).toEqual([]);
});

test('a writer waits for room, and gets EPIPE when no reader is left', async () => {
  const { k, root, inTask, task, read, write, r, w, poll } = await withPipe();
  const log: string[] = [];
  await inTask(async () => {
    await write('x'.repeat(65_000));
    expect(await poll(w)).toBe(0);
    task(root, 'writer', async () => {
      await write('y'.repeat(4096)); // in one piece: waits although 536 bytes are free
      log.push('written');
      await expect(write('z'.repeat(70_000))).rejects.toMatchObject(refusal('EPIPE'));
      log.push('broken');
    });
    await k.msleep(1);
    log.push('reading');
    await read(4000);
    await k.msleep(1);
    await k.ksys_close(root, r);
    expect(await poll(w)).toBe(POLLERR);
  });
  expect(log).toEqual(['reading', 'written', 'broken']);
});

test('without waiting: EAGAIN when empty or full, and part of a large write', async () => {
  const { k, root, inTask, read, write, r, w } = await withPipe();
  for (const fd of [r, w]) k.fget(root, fd).flags |= O_NONBLOCK;
  await inTask(async () => {
    await expect(read()).rejects.toMatchObject(refusal('EAGAIN'));
    expect(await read(0)).toBe('');
    expect(await write('')).toBe(0);
    expect(await write('x'.repeat(70_000))).toBe(65_536);
    await expect(write('y')).rejects.toMatchObject(refusal('EAGAIN'));
  });
});

test('the ends do what they are for only, and have no positions', async () => {
  const { k, root, inTask, r, w } = await withPipe();
  await expect(inTask(() => k.ksys_write(root, r, encodeText('x')))).rejects.toMatchObject(refusal('EBADF'));
  await expect(inTask(() => k.ksys_read(root, w, 1))).rejects.toMatchObject(refusal('EBADF'));
  await expect(inTask(() => k.ksys_lseek(root, r, 0, SEEK_SET))).rejects.toMatchObject(refusal('ESPIPE'));
});

test('a pipe that does not fit the descriptor limit takes none', async () => {
  const { k, root } = await bootFs();
  root.rlimits.set(RLIMIT_NOFILE, 1);
  expect(() => k.ksys_pipe(root)).toThrow(expect.objectContaining(refusal('EMFILE')));
  expect(k.ksys_eventfd(root, 0, 0)).toBe(0);
});
