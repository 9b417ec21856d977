/** Work that somebody outside leaves in memory without a word: looked for in turns, for a while. */
import type { AtomicWork } from '@vdpalab/abi';

/** What is looked at. Made once, watched many times. */
export interface Watched {
  /** Raised when there is something, and once more when the time is over. */
  readonly work: AtomicWork;
  /** Whether there is something. Cheap, and changes nothing. */
  readonly due: () => boolean;
  /** Whether it is watched; set by the scheduler. */
  watched: boolean;
  /** Nanoseconds since power-on when the time is over. */
  until: number;
}

/** What is watched now. */
export class Watches {
  private readonly list: Watched[] = [];
  private readonly raise: (work: AtomicWork) => undefined;

  constructor(raise: (work: AtomicWork) => undefined) {
    this.raise = raise;
  }

  get any(): boolean {
    return this.list.length > 0;
  }

  add(watched: Watched, until: number): undefined {
    watched.until = until;
    if (watched.watched) return;
    watched.watched = true;
    this.list.push(watched);
  }

  /** Look once at each. What is raised is watched no more. @returns whether something was raised */
  look(now: number): boolean {
    const { list } = this;
    let raised = false;
    for (let i = list.length - 1; i >= 0; i--) {
      const watched = list[i]!; // below the length
      if (now < watched.until && !watched.due()) continue;
      watched.watched = false;
      list[i] = list.at(-1)!; // order means nothing
      list.pop();
      this.raise(watched.work);
      raised = true;
    }
    return raised;
  }
}
