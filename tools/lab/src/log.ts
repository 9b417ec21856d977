/** The kernel log: kept as lines for dmesg, passed on to pino for NDJSON. */
import type { Atomic, LogLine } from '@vdpalab/abi';
import type { ConsoleLog } from '@vdpalab/machine';
import type { Logger } from 'pino';

/** pino's levels for the kernel's eight. */
const pinoLevel = ['fatal', 'fatal', 'fatal', 'error', 'warn', 'info', 'info', 'debug'] as const;

/** Names `dmesg -x` prints. */
export const levelNames = ['emerg', 'alert', 'crit', 'err', 'warn', 'notice', 'info', 'debug'] as const;

/** Names of facilities that `dmesg -x` prints, by number. */
const facilityNames = ['kern', 'user', 'mail', 'daemon', 'auth', 'syslog', 'lpr', 'news', 'uucp', 'cron', 'authpriv', 'ftp'] as const;

/** The log of one kernel. */
export class KernelLog {
  readonly #records: ConsoleLog;

  /** @param records where the machine keeps it */
  constructor(records: ConsoleLog) {
    this.#records = records;
  }

  /** Lines since the last clear, oldest first. */
  get lines(): readonly LogLine[] {
    return this.#records.from(this.#records.cleared);
  }

  /** Lines written since boot: a mark for {@link since}. */
  get mark(): number {
    return this.#records.next;
  }

  /** Lines written after a mark. */
  since(mark: number): readonly LogLine[] {
    return this.#records.from(mark);
  }

  /** Show what follows only: `dmesg -C`. /dev/kmsg still has it all. */
  clear(): void {
    this.#records.clear();
  }
}

/** Pass lines on to pino; `module` is the text before the first colon. */
export function passOn(logger: Logger): (line: LogLine) => Atomic {
  return (line): Atomic => {
    const subject = /^([\w:.-]+?): /.exec(line.text)?.[1];
    logger.child(subject === undefined ? {} : { module: subject })[pinoLevel[line.level] ?? 'info']({ at: line.at }, line.text);
    return undefined;
  };
}

/** The time of a record as dmesg and syslog(2) print it: seconds and whole microseconds. @param at ns */
export function formatLogTime(at: number): string {
  return `[${(Math.floor(at / 1000) / 1e6).toFixed(6).padStart(12)}] `;
}

/** A record as `dmesg -x` prints it, without the time: `kern  :warn  : text`; further lines stand below the first one's text. */
export function formatLogLine(line: LogLine): string {
  const head = `${(facilityNames[line.facility >> 3] ?? '').padEnd(6)}:${(levelNames[line.level] ?? 'info').padEnd(6)}: `;
  return head + line.text.replaceAll('\n', `\n${' '.repeat(head.length)}`);
}
