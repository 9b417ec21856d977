/** The kernel log: kept as lines for dmesg, passed on to pino for NDJSON. */
import type { Atomic, LogLine } from '@vdpalab/abi';
import { pino, type Logger } from 'pino';

/** pino's levels for the kernel's eight. */
const pinoLevel = ['fatal', 'fatal', 'fatal', 'error', 'warn', 'info', 'info', 'debug'] as const;

/** Names `dmesg -x` prints. */
export const levelNames = ['emerg', 'alert', 'crit', 'err', 'warn', 'notice', 'info', 'debug'] as const;

/** Lines kept; older ones are dropped as a ring buffer does. */
const capacity = 65536;

/** The ring buffer of one kernel. */
export class KernelLog {
  readonly #lines: LogLine[] = [];
  #dropped = 0;
  readonly #logger: Logger;

  /** @param logger where lines go besides; silent when absent */
  constructor(logger: Logger = pino({ level: 'silent' })) {
    this.#logger = logger;
  }

  /** Lines kept, oldest first. */
  get lines(): readonly LogLine[] {
    return this.#lines;
  }

  /** Lines written since boot: a mark for {@link since}. */
  get mark(): number {
    return this.#dropped + this.#lines.length;
  }

  /** Lines written after a mark. */
  since(mark: number): readonly LogLine[] {
    return this.#lines.slice(Math.max(0, mark - this.#dropped));
  }

  /** Forget all: `dmesg -C`. */
  clear(): void {
    this.#dropped += this.#lines.length;
    this.#lines.length = 0;
  }

  /** Append a line; `module` is the text before the first colon. */
  write(line: LogLine): Atomic {
    this.#lines.push(line);
    if (this.#lines.length > capacity) {
      this.#lines.shift();
      this.#dropped++;
    }
    const subject = /^([\w:.-]+?): /.exec(line.text)?.[1];
    this.#logger.child(subject === undefined ? {} : { module: subject })[pinoLevel[line.level] ?? 'info']({ at: line.at }, line.text);
    return undefined;
  }
}

/** A record as `dmesg -x` prints it, without the time: `kern  :warn  : text`; further lines stand below the first one's text. */
export function formatLogLine(line: LogLine): string {
  const head = `${line.facility.padEnd(6)}:${(levelNames[line.level] ?? 'info').padEnd(6)}: `;
  return head + line.text.replaceAll('\n', `\n${' '.repeat(head.length)}`);
}
