/** Threads that do the work of a device's queues, and the ioctls about them. Mirrors `drivers/vhost/vhost.c` (Linux 6.1; the ioctls are of 6.5). */
import { KernelError } from '@vdpalab/abi';
import type { Atomic } from '@vdpalab/abi';
import type { Process } from '@vdpalab/fs';
import type { SchedSymbols, WaitQueue } from '@vdpalab/sched';
import {
  VHOST_ATTACH_VRING_WORKER, VHOST_FREE_WORKER, VHOST_GET_VRING_WORKER, VHOST_NEW_WORKER, vhost_vring_worker, vhost_worker_state,
} from '@vdpalab/uapi';
import type { DevState, VirtqueueState } from './dev.ts';

/** What a worker takes of the kernel. */
export type WorkerNeeds = Pick<SchedSymbols, 'init_waitqueue_head' | 'wait_event' | 'wake_up' | 'cond_resched' | 'kthread_run'>;

/** `struct vhost_worker` */
export class Worker {
  readonly id: number;
  /** Queues whose work it does. */
  attachments = 0;
  readonly #k: WorkerNeeds;
  readonly #wait: WaitQueue;
  /** Queues with work, oldest first. */
  readonly #works = new Set<VirtqueueState>();
  #stopped = false;

  constructor(k: WorkerNeeds, id: number, owner: Process) {
    this.#k = k;
    this.id = id;
    const name = `vhost-${owner.pid}`;
    this.#wait = k.init_waitqueue_head(name);
    k.kthread_run(name, () => this.#run());
  }

  /** `vhost_vq_work_queue`: once, however often it is asked before its turn. */
  queue(vq: VirtqueueState): Atomic {
    this.#works.add(vq);
    return this.#k.wake_up(this.#wait);
  }

  /** End the thread; what is still queued is dropped. */
  stop(): Atomic {
    this.#stopped = true;
    this.#works.clear();
    return this.#k.wake_up(this.#wait);
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      await this.#k.wait_event(this.#wait, () => this.#stopped || this.#works.size > 0, 'work', undefined, 'vhost_worker');
      for (const vq of this.#works) {
        this.#works.delete(vq);
        vq.handle_kick(vq);
        await this.#k.cond_resched();
      }
    }
  }
}

/** The workers of one device. */
export class Workers {
  readonly #k: WorkerNeeds;
  /** By id; holes are filled by the next. */
  readonly #all = new Map<number, Worker>();

  constructor(k: WorkerNeeds) {
    this.#k = k;
  }

  create(owner: Process): Worker {
    let id = 0;
    while (this.#all.has(id)) id++;
    const worker = new Worker(this.#k, id, owner);
    this.#all.set(id, worker);
    return worker;
  }

  /** `__vhost_vq_attach_worker` */
  attach(vq: VirtqueueState, worker: Worker): Atomic {
    if (vq.worker !== null) vq.worker.attachments--;
    vq.worker = worker;
    worker.attachments++;
  }

  /** @throws ENODEV when there is none with this id */
  find(id: number): Worker {
    const worker = this.#all.get(id);
    if (worker === undefined) throw new KernelError('ENODEV', 'vhost.worker.id', `the device has no worker ${id}`);
    return worker;
  }

  /** @throws EBUSY while it works for queues; ENODEV */
  free(id: number): Atomic {
    const worker = this.find(id);
    if (worker.attachments > 0) throw new KernelError('EBUSY', 'vhost.worker.busy', `worker ${id} works for ${worker.attachments} queues`);
    this.#all.delete(id);
    return worker.stop();
  }

  /** `vhost_workers_free` */
  stop(vqs: readonly VirtqueueState[]): Atomic {
    for (const worker of this.#all.values()) worker.stop();
    this.#all.clear();
    for (const vq of vqs) vq.worker = null;
  }
}

/**
 * `vhost_worker_ioctl`
 *
 * @returns false when the command is not its own
 * @throws EINVAL for a device without workers, or without an owner; EPERM for another process; ENOBUFS for a queue that is not there; ENODEV EBUSY EFAULT
 */
export function workerIoctl(dev: DevState, cmd: number, arg: number, proc: Process): boolean {
  const { workers } = dev;
  if (workers === null || dev.owner === null) {
    throw new KernelError('EINVAL', 'vhost.worker.none', workers === null ? 'the device has no workers' : 'nobody owns the device');
  }
  dev.checkOwner(proc);
  const { mm } = proc;
  switch (cmd) {
    case VHOST_NEW_WORKER:
      mm.write(arg, vhost_worker_state.encode({ worker_id: workers.create(dev.owner).id }));
      return true;
    case VHOST_FREE_WORKER:
      workers.free(vhost_worker_state.decode(mm.read(arg, vhost_worker_state.size)).worker_id);
      return true;
    case VHOST_ATTACH_VRING_WORKER: {
      const { index, worker_id } = vhost_vring_worker.decode(mm.read(arg, vhost_vring_worker.size));
      workers.attach(dev.vq(index), workers.find(worker_id));
      return true;
    }
    case VHOST_GET_VRING_WORKER: {
      const { index } = vhost_vring_worker.decode(mm.read(arg, vhost_vring_worker.size));
      const { worker } = dev.vq(index);
      mm.write(arg, vhost_vring_worker.encode({ index, worker_id: worker?.id ?? 0 })); // with an owner each queue has one
      return true;
    }
    default: return false;
  }
}
