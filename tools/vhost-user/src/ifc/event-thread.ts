/** A thread that waits for eventfds. */
import type { Task } from '@vdpalab/abi';
import type { Lab, UserProcess } from '@vdpalab/lab';
import { POLLIN } from '@vdpalab/uapi';
import { dying } from '../vhost/bridge.ts';

/** An eventfd, and what is done when it was signalled. */
export interface Awaited {
  readonly fd: number;
  readonly event: () => Promise<void> | void;
}

/** How a thread goes on between events. */
export interface ThreadPace {
  /** Done at the start, after each event and after each timeout. */
  readonly turn: () => Promise<void>;
  /** Longest time without a turn. */
  readonly timeoutNs: number;
}

/** A running thread. */
export class EventThread {
  readonly #lab: Lab;
  readonly #p: UserProcess;
  readonly #stopFd: number;
  readonly #task: Task;
  #stopping = false;

  /** Start it, in a task of the process. @param name as the lab's task list shows it */
  constructor(lab: Lab, p: UserProcess, name: string, awaited: readonly Awaited[], pace?: ThreadPace) {
    this.#lab = lab;
    this.#p = p;
    this.#stopFd = p.eventfd();
    this.#task = lab.start(p, name, async () => {
      try {
        await this.#run(awaited, pace);
      } catch (error) {
        if (!dying(p)) throw error;
      }
    });
  }

  async #run(awaited: readonly Awaited[], pace: ThreadPace | undefined): Promise<void> {
    const fds = [this.#stopFd, ...awaited.map(({ fd }) => fd)].map((fd) => ({ fd, events: POLLIN }));
    while (!this.#stopping) {
      await pace?.turn();
      const ready = await this.#p.poll(fds, pace?.timeoutNs);
      for (const [i, { fd, event }] of awaited.entries()) {
        if (this.#stopping || ((ready[i + 1] ?? 0) & POLLIN) === 0) continue;
        await this.#p.read(fd, 8);
        await event();
      }
    }
  }

  /** End it, and wait until it has ended. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await this.#p.eventfdWrite(this.#stopFd);
    await this.#lab.hw.sched.join(this.#task);
    await this.#p.close(this.#stopFd);
  }
}
