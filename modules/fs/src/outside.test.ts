/** Processes outside: where an ioctl names one of their descriptors, the host is asked. */
import type { Atomic } from '@vdpalab/abi';
import { O_RDONLY } from '@vdpalab/uapi';
import { expect, test } from 'vitest';
import type { File, ForeignEventfd } from './header.ts';
import { fail } from './fail.ts';
import { bootFs, refusal } from './testing/kernel.ts';

/** An eventfd of the host, in the test's hands. */
class FakeEventfd implements ForeignEventfd {
  signalled = 0;
  held = 0n;
  closed = false;
  arrived: ((count: bigint) => Atomic) | null = null;

  signal = (n: number): Atomic => {
    this.signalled += n;
    return undefined;
  };

  take = (): bigint => {
    const { held } = this;
    this.held = 0n;
    return held;
  };

  watch = (arrived: (count: bigint) => Atomic): () => Atomic => {
    this.arrived = arrived;
    return (): Atomic => {
      this.arrived = null;
      return undefined;
    };
  };

  close = (): Atomic => {
    this.closed = true;
    return undefined;
  };
}

async function withOutside() {
  const kernel = await bootFs();
  const { k } = kernel;
  const host = new FakeEventfd();
  const files = new Map<number, File | null>();
  const proc = k.process_create('qemu', {
    outside: {
      eventfd: (fd) => {
        if (fd === 8) return host;
        throw fail('EBADF', 'file.descriptor', `descriptor ${fd}`);
      },
      file: (fd) => files.get(fd) ?? null,
    },
    rlimits: new Map([[8, 4096]]),
  });
  return { ...kernel, host, files, proc };
}

test('an eventfd of a process outside is signalled there, and taken from only while somebody watches', async () => {
  const { k, host, proc, leftovers } = await withOutside();
  const before = leftovers();
  const ctx = k.eventfd_ctx_fdget(proc, 8);
  expect(leftovers()).toContain(`eventfd ${ctx.id}: 1 references`);
  k.eventfd_signal(ctx, 2);
  expect([host.signalled, ctx.count, host.arrived]).toEqual([2, 0n, null]);
  const kicks: bigint[] = [];
  const first = (): Atomic => void kicks.push(ctx.count) as undefined;
  const second = (): Atomic => undefined;
  ctx.wq.watchers.add(first);
  ctx.wq.watchers.add(second);
  host.arrived?.(3n);
  ctx.wq.watchers.delete(first);
  expect(host.arrived).not.toBeNull();
  ctx.wq.watchers.delete(second);
  ctx.wq.watchers.delete(second);
  expect([kicks, host.arrived]).toEqual([[3n], null]);
  host.held = 4n;
  expect([k.eventfd_ctx_do_read(ctx), k.eventfd_ctx_do_read(ctx)]).toEqual([7n, 0n]);
  k.eventfd_ctx_put(ctx);
  expect([host.closed, leftovers()]).toEqual([true, before]);
  expect(() => k.eventfd_ctx_put(ctx)).toThrow('more often');
});

test('the last put ends a watch that was left on', async () => {
  const { k, host, proc } = await withOutside();
  const ctx = k.eventfd_ctx_fdget(proc, 8);
  ctx.wq.watchers.add(() => undefined);
  k.eventfd_ctx_put(ctx);
  expect([host.arrived, host.closed]).toEqual([null, true]);
});

test('its numbers are the host\'s: a descriptor of the lab\'s own table is none of them', async () => {
  const { k, proc, files, root, inTask } = await withOutside();
  await inTask(async () => {
    const fd = await k.ksys_open(proc, '/dev/null', O_RDONLY);
    await expect(async () => k.eventfd_ctx_fdget(proc, fd)).rejects.toThrow(expect.objectContaining(refusal('EBADF')));
    await expect(async () => k.fget(proc, fd)).rejects.toThrow(expect.objectContaining({ errno: 'EINVAL', rule: 'fs.file.outside' }));
    const file = k.fget(root, await k.ksys_open(root, '/dev/zero', O_RDONLY));
    files.set(77, file);
    expect(k.fget(proc, 77)).toBe(file);
    expect(file.count).toBe(3);
    await k.fput(file);
    await k.fput(file);
    expect(proc.rlimits.get(8)).toBe(4096);
    await k.process_exit(proc);
  });
});
