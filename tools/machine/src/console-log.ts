/** The kernel log: numbered records, of which the newest are kept. */
import type { Atomic, LogLine, LogRecords } from '@vdpalab/abi';

/** Records kept; older ones are dropped as a ring buffer does. */
const CAPACITY = 65536;

/** The records of one kernel. */
export class ConsoleLog implements LogRecords {
  readonly watchers = new Set<() => Atomic>();
  readonly #records: LogLine[] = [];
  #first = 0;
  #unfinished: LogLine | null = null;
  #cleared = 0;

  get first(): number {
    return this.#first;
  }

  get next(): number {
    return this.#first + this.#records.length;
  }

  get cleared(): number {
    return this.#cleared;
  }

  record(seq: number): LogLine | undefined {
    return this.#records[seq - this.#first];
  }

  /** Records from a number on, as far as they are kept. */
  from(seq: number): readonly LogLine[] {
    return this.#records.slice(Math.max(0, seq - this.#first));
  }

  clear(): Atomic {
    this.#cleared = this.next;
    return undefined;
  }

  /** Append a record. @param unfinished its line has no end yet: it is there for readers when the next one comes */
  write(line: LogLine, unfinished = false): Atomic {
    const finished = this.#unfinished === null ? [] : [this.#unfinished];
    this.#unfinished = unfinished ? line : null;
    if (!unfinished) finished.push(line);
    if (finished.length === 0) return undefined;
    this.#records.push(...finished);
    while (this.#records.length > CAPACITY) {
      this.#records.shift();
      this.#first++;
    }
    for (const watcher of this.watchers) watcher();
    return undefined;
  }
}
