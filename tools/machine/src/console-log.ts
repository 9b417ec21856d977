/** The kernel log: numbered records, of which the newest are kept. */
import type { Atomic, LogLine, LogRecords } from '@vdpalab/abi';

/** Records kept; older ones are dropped as a ring buffer does. */
const CAPACITY = 65536;

/** The records of one kernel. */
export class ConsoleLog implements LogRecords {
  readonly watchers = new Set<() => Atomic>();
  readonly #records: LogLine[] = [];
  #first = 0;
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

  /** Append a record. */
  write(line: LogLine): Atomic {
    this.#records.push(line);
    if (this.#records.length > CAPACITY) {
      this.#records.shift();
      this.#first++;
    }
    for (const watcher of this.watchers) watcher();
    return undefined;
  }
}
