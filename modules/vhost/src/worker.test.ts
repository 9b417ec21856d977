/** Devices with workers: who does the work of which queue. */
import { anonymous, answerOf, bootBuiltins, covers } from '@vdpalab/testing';
import type { BootOptions } from '@vdpalab/testing';
import * as uapi from '@vdpalab/uapi';
import { expect, test } from 'vitest';

const BELOW = ['sched', 'mm', 'fs', 'vhost-iotlb', 'vhost'];

/** A device of two queues with eventfds to kick them, and a process that owns it only once it says so. */
async function session(kernel: NonNullable<BootOptions['kernel']>, use_worker: boolean, body: (s: Awaited<ReturnType<typeof open>>) => Promise<void>): Promise<void> {
  const booted = await bootBuiltins(BELOW, { kernel });
  await booted.user(async (proc) => {
    const s = await open(booted.k, proc, use_worker);
    await body(s);
    booted.k.vhost_dev_cleanup(s.dev);
  });
  await booted.settle();
  expect(booted.leftovers()).toEqual([]);
}

type Kernel = Awaited<ReturnType<typeof bootBuiltins>>['k'];
type Proc = ReturnType<Kernel['process_create']>;

async function open(k: Kernel, proc: Proc, use_worker: boolean) {
  /** By queue: the tasks that were told of a kick. */
  const served: (readonly [queue: number, task: string])[] = [];
  const threads: unknown[] = [];
  const dev = k.vhost_dev_init({
    nvqs: 2, use_worker, msg_handler: null,
    handle_kick(vq) {
      const task = k.current_task();
      if (!threads.includes(task)) threads.push(task);
      served.push([vq.index, `${task.name} ${threads.indexOf(task)}`]);
    },
  });
  const at = await anonymous(k, proc, 4096);
  const eventfds = [0, 1].map(() => k.ksys_eventfd(proc, 0, uapi.EFD_NONBLOCK));
  /** A worker ioctl. @returns false for an unknown command, or the errno, or what it left in its argument */
  const ioctl = async (cmd: number, bytes: Uint8Array, as = proc): Promise<unknown> => {
    as.mm.write(at, bytes);
    let known = false;
    const answer = await answerOf(async () => void (known = await k.vhost_worker_ioctl(dev, cmd, at, as)));
    return answer === 0 ? known && [...new Uint32Array(as.mm.read(at, bytes.length).slice().buffer)] : answer;
  };
  const vring = (index: number, worker_id = 0): Uint8Array => uapi.vhost_vring_worker.encode({ index, worker_id });
  const state = (worker_id = 0): Uint8Array => uapi.vhost_worker_state.encode({ worker_id });
  return {
    k, proc, dev, at, served, ioctl,
    own: async (): Promise<void> => {
      k.vhost_dev_set_owner(dev, proc);
      for (const [index, fd] of eventfds.entries()) {
        proc.mm.write(at, uapi.vhost_vring_file.encode({ index, fd }));
        await k.vhost_vring_ioctl(dev, uapi.VHOST_SET_VRING_KICK, at, proc);
      }
    },
    create: (as = proc) => ioctl(uapi.VHOST_NEW_WORKER, state(), as),
    free: (id: number) => ioctl(uapi.VHOST_FREE_WORKER, state(id)),
    attach: (index: number, id: number) => ioctl(uapi.VHOST_ATTACH_VRING_WORKER, vring(index, id)),
    workerOf: (index: number) => ioctl(uapi.VHOST_GET_VRING_WORKER, vring(index, 99)),
    kick: async (queue: number): Promise<void> => {
      await k.ksys_write(proc, eventfds[queue]!, Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0));
      await k.msleep(1);
    },
  };
}

test('one does all the work; others are made, given queues, and freed when they have none', async () => {
  covers('2.6.3');
  await session('6.12', true, async (s) => {
    expect([await s.create(), await s.workerOf(0)]).toEqual(['EINVAL', 'EINVAL']); // nobody owns it
    await s.own();
    expect([await s.workerOf(0), await s.workerOf(1)]).toEqual([[0, 0], [1, 0]]);
    expect(await s.free(0)).toBe('EBUSY');
    expect([await s.create(), await s.create(), await s.free(1), await s.create()]).toEqual([[1], [2], [1], [1]]);
    expect([await s.free(7), await s.attach(1, 7), await s.attach(2, 1), await s.workerOf(2)]).toEqual(['ENODEV', 'ENODEV', 'ENOBUFS', 'ENOBUFS']);
    await s.kick(0);
    await s.kick(1);
    const name = `vhost-${s.proc.pid} `;
    expect(s.served.splice(0)).toEqual([[0, `${name}0`], [1, `${name}0`]]);

    expect([await s.attach(1, 2), await s.workerOf(1), await s.free(2), await s.free(0)]).toEqual([[1, 2], [1, 2], 'EBUSY', 'EBUSY']);
    await s.kick(0);
    await s.kick(1);
    expect(s.served.splice(0)).toEqual([[0, `${name}0`], [1, `${name}1`]]);
    expect([await s.attach(0, 2), await s.free(0), await s.attach(1, 0), await s.free(1), await s.create()]).toEqual([[0, 2], [0], 'ENODEV', [1], [0]]);
    await s.kick(0);
    expect(s.served).toEqual([[0, `${name}1`]]);
    expect(await s.ioctl(uapi.VHOST_SET_OWNER, new Uint8Array(4))).toBe(false);
    const fault = (cmd: number): Promise<unknown> => answerOf(async () => void (await s.k.vhost_worker_ioctl(s.dev, cmd, 8, s.proc)));
    expect([await fault(uapi.VHOST_FREE_WORKER), await fault(uapi.VHOST_GET_VRING_WORKER)]).toEqual(['EFAULT', 'EFAULT']);
    const other = s.k.process_create('other');
    expect(await answerOf(async () => void (await s.k.vhost_worker_ioctl(s.dev, uapi.VHOST_NEW_WORKER, s.at, other)))).toBe('EPERM');
    await s.k.process_exit(other);
  });
});

test('a device without workers has none to speak of, and 6.1 has its one and no words for it', async () => {
  await session('6.12', false, async (s) => {
    await s.own();
    expect([await s.create(), await s.workerOf(0)]).toEqual(['EINVAL', 'EINVAL']);
    await s.kick(1);
    expect(s.served).toEqual([[1, `${s.k.current_task().name} 0`]]); // where it came from
  });
  await session('6.1', true, async (s) => {
    await s.own();
    expect([await s.create(), await s.free(0), await s.attach(0, 0), await s.workerOf(0)]).toEqual([false, false, false, false]);
    await s.kick(1);
    expect(s.served).toEqual([[1, `vhost-${s.proc.pid} 0`]]);
  });
});
