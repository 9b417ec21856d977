/** Answers the trapped calls of a command and of all it starts. */
import { close } from 'node:fs';
import { isKernelError } from '@vdpalab/abi';
import type { HostProcesses } from '@vdpalab/fusefs';
import type { Lab } from '@vdpalab/lab';
import { descriptorLink, HostError, SeccompListener, takeFd } from '@vdpalab/libc';
import { EIO, ERRNO, type SeccompNotif } from '@vdpalab/uapi';
import { TrappedCall, type Answer, type CallFamily } from './call.ts';
import { CallError } from './call-error.ts';
import type { PassFile } from './descriptor-calls.ts';
import { callFamilies } from './families.ts';
import type { FamilyName } from './family-names.ts';
import type { FindDevice } from './stat-calls.ts';
import { TrapUnavailableError, type Installed } from './trap.ts';

/** What /proc shows a listener as. */
const LISTENER = 'anon_inode:seccomp notify';

/** What a supervisor is made from. */
export interface SupervisorOptions {
  readonly lab: Lab;
  /** Who calls. */
  readonly processes: HostProcesses;
  readonly families: readonly FamilyName[];
  /** Absent where the lab's files are not mounted. */
  readonly pass?: PassFile | null;
  readonly findDevice?: FindDevice | null;
  /** Told of what should not happen; the call fails with EIO then. */
  readonly report: (text: string) => void;
}

/** One filter's supervisor: it lives as long as any process has the filter. */
export class TrapSupervisor {
  readonly #listener: SeccompListener;
  readonly #processes: HostProcesses;
  readonly #families: readonly CallFamily[];
  readonly #byNumber: ReadonlyMap<number, readonly CallFamily[]>;
  readonly #report: (text: string) => void;
  readonly #underWay = new Set<Promise<void>>();
  /** Resolved when nobody has the filter any more, or this was closed. */
  readonly ended: Promise<void>;
  #end: () => void = () => undefined;

  /**
   * Supervise the filter of a process that has just installed it.
   *
   * @throws TrapUnavailableError when this process may not trace that one, or it has no such descriptor
   */
  static of({ pid, listener }: Installed, options: SupervisorOptions): TrapSupervisor {
    let fd: number;
    try {
      fd = takeFd(pid, listener);
    } catch (error) {
      throw new TrapUnavailableError(`the listener of process ${pid} cannot be had, which needs the right to trace it: ${(error as Error).message}`);
    }
    if (descriptorLink('self', fd) !== LISTENER) {
      close(fd, () => {}); // never at once: it may be a file that this process serves
      throw new TrapUnavailableError(`descriptor ${listener} of process ${pid} is no listener of a filter`);
    }
    return new TrapSupervisor(fd, options);
  }

  /** @param listener its descriptor, owned from now on */
  constructor(listener: number, { lab, processes, families, pass = null, findDevice = null, report }: SupervisorOptions) {
    this.#listener = new SeccompListener(listener);
    this.#report = report;
    this.#processes = processes;
    ({ all: this.#families, byNumber: this.#byNumber } = callFamilies({ lab, processes, pass, findDevice }, families));
    this.ended = new Promise((resolve) => {
      this.#end = resolve;
    });
    this.#listener.listen((notif) => this.#take(notif), this.#end);
  }

  #take(notif: SeccompNotif): void {
    const call = new TrappedCall(this.#listener, notif);
    const work = this.#handle(call).finally(() => this.#underWay.delete(work));
    this.#underWay.add(work);
  }

  async #handle(call: TrappedCall): Promise<void> {
    try {
      this.#reply(call, await this.#answer(call));
    } catch (error) {
      if (error instanceof CallError) call.fail(error.errno);
      else if (isKernelError(error)) call.fail(ERRNO[error.errno]);
      else if (error instanceof HostError) call.fail(ERRNO[error.errno as keyof typeof ERRNO] ?? EIO);
      else {
        this.#report(`trapped call ${call.nr} of thread ${call.tid}: ${error instanceof Error ? error.stack ?? error.message : String(error)}`);
        call.fail(EIO);
      }
    }
  }

  /** The first family whose call it is. */
  async #answer(call: TrappedCall): Promise<Answer> {
    for (const family of this.#byNumber.get(call.nr) ?? []) {
      const answer = await family.answer(call);
      if (answer !== 'host') return answer;
    }
    return 'host';
  }

  #reply(call: TrappedCall, answer: Answer): void {
    if (answer === 'host') call.proceed();
    else if (answer !== 'answered') call.succeed(answer.value);
  }

  /** Stop answering: trapped calls fail with ENOSYS from now on. What the callers held in the lab is given back. */
  async close(): Promise<void> {
    this.#listener.close();
    for (const family of this.#families) await family.close();
    await Promise.all(this.#underWay);
    this.#processes.sweep();
    this.#end();
  }
}
