/** How the tools speak: `tool: LEVEL: text` on standard error, quiet or not. */
import type { KmodSystem } from './system.ts';

/** Levels, most urgent first. */
export type MessageLevel = 'FATAL' | 'ERROR' | 'WARNING';

/**
 * Source places that libkmod puts before its own errors; Debian's kmod 30 has these.
 *
 * They are part of the text on a real system, and the recordings hold them.
 */
export const LIBKMOD = Object.freeze({
  parseDepline: '../libkmod/libkmod-module.c:191 kmod_module_parse_depline()',
  removeModule: '../libkmod/libkmod-module.c:856 kmod_module_remove_module()',
  insertModule: '../libkmod/libkmod-module.c:968 kmod_module_insert_module()', // the line is that of a later build
  command: '../libkmod/libkmod-module.c:1047 command_do()',
});

/** Thrown by a FATAL message: the tool ends there with status 1, whatever it still had to do. */
class FatalExit extends Error {}

/** Levels as syslog numbers them. */
const PRIORITY: Readonly<Record<MessageLevel, number>> = { FATAL: 2, ERROR: 3, WARNING: 4 };

/** What is said without any option: warnings and worse. */
export const DEFAULT_VERBOSITY = 4;

/** How much is said after these options, in their order: each `v` adds a level, `q` leaves none. */
export function verbosityOf(options: readonly { readonly name: string }[]): number {
  return options.reduce((level, { name }) => (name === 'v' ? level + 1 : name === 'q' ? 0 : level), DEFAULT_VERBOSITY);
}

/** The voice of one run of one tool. */
export class Messages {
  readonly #tool: string;
  readonly #sys: KmodSystem;
  #pending = '';
  /** The least urgent level that is said, as syslog numbers them. */
  verbosity = DEFAULT_VERBOSITY;
  /** `-s`: to the system's log instead of standard error. */
  syslog = false;

  constructor(tool: string, sys: KmodSystem) {
    this.#tool = tool;
    this.#sys = sys;
  }

  /** @throws FatalExit for FATAL, unless it is not said: then the tool goes on, as kmod's does */
  say(level: MessageLevel, text: string): void {
    if (PRIORITY[level] > this.verbosity) return;
    if (this.syslog) this.#sys.syslog?.(`${this.#tool}: ${level}: ${text}`);
    else this.#sys.err(`${this.#tool}: ${level}: ${text}\n`);
    if (level === 'FATAL') throw new FatalExit(text);
  }

  /** Run a tool's body to its exit status; a FATAL message ends it with 1. */
  async run(body: () => Promise<number>): Promise<number> {
    try {
      return await body();
    } catch (fatal) {
      if (fatal instanceof FatalExit) return 1;
      throw fatal;
    } finally {
      this.flush();
    }
  }

  /** What getopt says, quiet or not. */
  usage(text: string): void {
    this.#sys.err(`${this.#tool}: ${text}\n`);
  }

  /** Print a line to standard output, kept back until {@link flush}, as a program whose output is no terminal does. */
  print(line: string): void {
    this.write(`${line}\n`);
  }

  /** Text as it is, kept back in the same way. */
  write(text: string): void {
    this.#pending += text;
  }

  /** Print and write out at once, with all that was kept back. */
  show(line: string): void {
    this.print(line);
    this.flush();
  }

  flush(): void {
    if (this.#pending !== '') this.#sys.out(this.#pending);
    this.#pending = '';
  }
}
