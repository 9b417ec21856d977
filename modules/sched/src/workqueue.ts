/**
 * Work queues. Mirrors `kernel/workqueue.c` (Linux 6.1), ordered queues only: one work at a time, oldest first.
 *
 * A queue's worker starts with the first work and ends when none is left, so that an idle kernel has no tasks.
 */
import type { Scheduler, Task } from '@vdpalab/abi';
import type { SchedSymbols, WaitQueue, Work, Workqueue } from './header.ts';
import type { Kthreads } from './kthread.ts';
import type { Wait } from './wait.ts';

class WorkItem implements Work {
  readonly name: string;
  readonly func: () => Promise<void>;
  /** The queue it waits in. */
  pendingOn: Queue | null = null;
  /** The queue that runs it now. */
  runningOn: Queue | null = null;
  /** Runs asked for, and how many of them are done or called off. */
  asked = 0;
  settled = 0;
  /** Set while somebody waits in cancel_work_sync: queueing is refused then. */
  cancelling = false;
  /** Trace cause of what queued it. */
  cause = 0;

  constructor(name: string, func: () => Promise<void>) {
    this.name = name;
    this.func = func;
  }
}

class Queue implements Workqueue {
  readonly name: string;
  readonly pending: WorkItem[] = [];
  readonly settled: WaitQueue;
  worker: Task | null = null;
  dead = false;

  constructor(name: string, settled: WaitQueue) {
    this.name = name;
    this.settled = settled;
  }
}

/** Work queue symbols of one kernel. */
export interface Workqueues {
  readonly symbols: Pick<SchedSymbols, 'alloc_workqueue' | 'destroy_workqueue' | 'system_wq' | 'INIT_WORK' | 'queue_work' | 'cancel_work_sync' | 'flush_work'>;
  readonly leftovers: () => readonly string[];
}

/** Make the work queues of one kernel. */
export function createWorkqueues(sched: Scheduler, wait: Wait, threads: Kthreads): Workqueues {
  const queues = new Set<Queue>();
  const system_wq = newQueue('events');

  function newQueue(name: string): Queue {
    const queue = new Queue(name, wait.symbols.init_waitqueue_head(`workqueue ${name}`));
    queues.add(queue);
    return queue;
  }

  function queueOf(wq: Workqueue): Queue {
    if (!(wq instanceof Queue)) throw new Error(`workqueue ${wq.name} was not made by alloc_workqueue`);
    if (wq.dead) throw new Error(`workqueue ${wq.name} is destroyed`);
    return wq;
  }

  function itemOf(work: Work): WorkItem {
    if (work instanceof WorkItem) return work;
    throw new Error(`work ${work.name} was not made by INIT_WORK`);
  }

  async function runPending(queue: Queue): Promise<void> {
    for (let item = queue.pending.shift(); item !== undefined; item = queue.pending.shift()) {
      item.pendingOn = null;
      item.runningOn = queue;
      sched.cause = item.cause;
      try {
        await item.func();
      } finally {
        item.runningOn = null;
        item.settled = item.pendingOn === null ? item.asked : item.asked - 1; // it may have queued itself again
        wait.symbols.wake_up(queue.settled);
      }
      // As process_one_work does: work that queues itself for ever must not keep everybody else waiting.
      if (queue.pending.length > 0) await sched.yield();
    }
  }

  function start(queue: Queue): void {
    queue.worker = threads.symbols.kthread_run(`kworker/${queue.name}`, async () => {
      try {
        await runPending(queue);
      } finally {
        queue.worker = null;
        // A work that threw ends this worker, with the error kept in Task.failure; the others still run.
        if (queue.pending.length > 0) start(queue);
        wait.symbols.wake_up(queue.settled);
      }
    });
  }

  /** Wait for all runs asked for until now. */
  async function settle(item: WorkItem, why: string): Promise<void> {
    const queue = item.runningOn ?? item.pendingOn;
    if (queue === null) return;
    refuseWorker(queue, `${why} of work ${item.name}`);
    const asked = item.asked;
    await wait.symbols.wait_event(queue.settled, () => item.settled >= asked, `${why} of work ${item.name}`, () => workers(queue), '__flush_work');
  }

  function refuseWorker(queue: Queue, what: string): void {
    if (sched.current !== null && sched.current === queue.worker) throw new Error(`${what} waits for its own worker`);
  }

  function workers(queue: Queue): readonly Task[] {
    return queue.worker === null ? [] : [queue.worker];
  }

  return {
    symbols: {
      alloc_workqueue: newQueue,
      system_wq,
      INIT_WORK: (name, func) => new WorkItem(name, func),
      queue_work: (wq, work) => {
        const item = itemOf(work);
        const asked = queueOf(wq);
        if (item.pendingOn !== null || item.cancelling) return false;
        const queue = item.runningOn ?? asked; // a work never runs twice at a time
        item.pendingOn = queue;
        item.asked++;
        item.cause = sched.cause;
        queue.pending.push(item);
        if (queue.worker === null) start(queue);
        return true;
      },
      cancel_work_sync: async (work) => {
        const item = itemOf(work);
        const queue = item.pendingOn;
        if (queue !== null) {
          queue.pending.splice(queue.pending.indexOf(item), 1);
          item.pendingOn = null;
          if (item.runningOn === null) item.settled = item.asked;
          wait.symbols.wake_up(queue.settled);
        }
        if (item.runningOn !== null) {
          item.cancelling = true;
          try {
            await settle(item, 'cancel');
          } finally {
            item.cancelling = false;
          }
        }
        return queue !== null;
      },
      flush_work: (work) => settle(itemOf(work), 'flush'),
      destroy_workqueue: async (wq) => {
        const queue = queueOf(wq);
        if (queue === system_wq) throw new Error(`workqueue ${queue.name} is the kernel's own`);
        refuseWorker(queue, `destroy of workqueue ${queue.name}`);
        await wait.symbols.wait_event(queue.settled, () => queue.worker === null, `flush of workqueue ${queue.name}`,
          () => workers(queue), '__flush_workqueue');
        queue.dead = true;
        queues.delete(queue);
      },
    },
    leftovers: () => [...queues].flatMap((queue) => [
      ...(queue === system_wq ? [] : [`workqueue ${queue.name} is not destroyed`]),
      ...queue.pending.map((item) => `work ${item.name} is queued on ${queue.name}`),
    ]),
  };
}
