/**
 * The kernel's memory of refusals: per lab and process, with the command that met them.
 *
 * A call hands user space an errno and nothing else; here rule, values compared and inner reasons are kept, for
 * `explain`. What no caller is handed as an error is kept too: netlink's go into replies, a probe's into the log.
 */
import { isKernelError, type KernelError } from '@vdpalab/abi';
import type { Process } from '@vdpalab/fs';

/** Refusals kept, and commands; older ones are forgotten. */
const CAPACITY = 512;

/** One refusal. */
export interface Refusal {
  /** The system call, `init_module`, `netlink`, `probe`. */
  readonly call: string;
  readonly error: KernelError;
  /** Process that met it; 0 for a kernel thread. */
  readonly pid: number;
  readonly comm: string;
  /** Virtual nanoseconds since boot. */
  readonly at: number;
}

/** A command of a shell, with what refused it. */
export interface CommandRecord {
  readonly text: string;
  readonly refusals: readonly Refusal[];
  /** `null` while it runs. */
  readonly status: number | null;
  /** What it wrote to standard error. */
  readonly stderr: string;
}

type OpenRecord = { -readonly [K in keyof CommandRecord]: K extends 'refusals' ? Refusal[] : CommandRecord[K] };

/** One lab's refusals. */
export class RefusalLog {
  readonly #refusals: Refusal[] = [];
  readonly #commands: OpenRecord[] = [];
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** Refusals of all processes, oldest first. */
  get refusals(): readonly Refusal[] {
    return this.#refusals;
  }

  /** Commands that shells ran, oldest first; the last may be running. */
  get commands(): readonly CommandRecord[] {
    return this.#commands;
  }

  /** Refusals that one process met, oldest first. */
  of(pid: number): readonly Refusal[] {
    return this.#refusals.filter((refusal) => refusal.pid === pid);
  }

  /** Keep a refusal; anything else that was thrown is none. */
  note(call: string, error: unknown, process: Process | null): undefined {
    if (!isKernelError(error) || error.errno === 'ERESTARTSYS') return; // the call goes on after the signal
    const refusal = { call, error, pid: process?.pid ?? 0, comm: process?.comm ?? 'kernel', at: this.#now() };
    push(this.#refusals, refusal);
    const command = this.#commands.at(-1);
    if (command !== undefined && command.status === null) push(command.refusals, refusal);
  }

  /** A command begins. @returns ends it */
  begin(text: string): (status: number, stderr: string) => undefined {
    const record: OpenRecord = { text, refusals: [], status: null, stderr: '' };
    push(this.#commands, record);
    return (status, stderr): undefined => {
      record.status = status;
      record.stderr = stderr;
    };
  }
}

function push<T>(list: T[], item: T): void {
  list.push(item);
  if (list.length > CAPACITY) list.shift();
}
