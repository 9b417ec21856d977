import { isKernelError } from '@vdpalab/abi';
import { bootBuiltins } from '@vdpalab/testing';
import { expect, test } from 'vitest';
import type { VirqfdSlot } from './header.ts';

const errnoOf = (call: () => unknown): string => {
  try {
    call();
    return 'ok';
  } catch (error) {
    if (isKernelError(error)) return error.errno;
    throw error;
  }
};

test('a signal runs the handler at once and its thread later, an old one too, and none after it is disabled', async () => {
  const kernel = await bootBuiltins(['sched', 'mm', 'fs', 'vfio-virqfd']);
  const { k } = kernel;
  const done: string[] = [];
  await kernel.user(async (proc) => {
    const fd = k.ksys_eventfd(proc, 1, 0); // signalled before
    const one = Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0);
    const slot: VirqfdSlot = { virqfd: null };
    let again = true;
    k.vfio_virqfd_enable(slot, proc, fd, {
      handler: () => {
        done.push('handler');
        return again;
      },
      thread: async () => void done.push('thread'),
    });
    expect(done).toEqual(['handler']);
    await k.vfio_virqfd_flush_thread(slot);
    expect(done.filter((what) => what === 'thread').length).toBeGreaterThan(0);
    done.splice(0);
    again = false;
    await k.ksys_write(proc, fd, one);
    expect(done).toEqual(['handler']);
    expect(errnoOf(() => k.vfio_virqfd_enable(slot, proc, fd, {}))).toBe('EBUSY');
    expect(errnoOf(() => k.vfio_virqfd_enable({ virqfd: null }, proc, 99, {}))).toBe('EBADF');
    await k.vfio_virqfd_disable(slot);
    await k.vfio_virqfd_disable(slot); // nothing to do
    await k.ksys_write(proc, fd, one);
    expect(done).toEqual(['handler']);
    await k.ksys_close(proc, fd);
  });
  expect(kernel.leftovers()).toEqual([]);
});
