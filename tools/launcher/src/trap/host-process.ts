/** Processes of the host as processes of the lab. */
import { closeSync, readFileSync } from 'node:fs';
import type { Lab, UserProcess } from '@vdpalab/lab';
import { isReadable, pidfdOpen, watchReadable, type Watch } from '@vdpalab/libc';
import { ESRCH } from '@vdpalab/uapi';
import { CallError } from './call-error.ts';

/** What the host says of a thread. */
interface Status {
  /** Its process. */
  readonly tgid: number;
  readonly comm: string;
  readonly uid: number;
  readonly gid: number;
  readonly caps: readonly number[];
  /** Signals, as a mask, that end a sleep of it. */
  readonly interrupts: bigint;
}

/** What the host says of a thread now. @throws CallError ESRCH when there is none */
export function statusOf(tid: number): Status {
  let text: string;
  try {
    text = readFileSync(`/proc/${tid}/status`, 'utf8');
  } catch {
    throw new CallError(ESRCH, `no thread ${tid}`);
  }
  const field = (name: string): string => new RegExp(`^${name}:\\t(.*)$`, 'm').exec(text)?.[1] ?? '';
  const mask = (name: string): bigint => BigInt(`0x${field(name) || '0'}`);
  const effective = (name: string): number => Number(field(name).split('\t')[1]);
  const caps = mask('CapEff');
  return {
    tgid: Number(field('Tgid')),
    comm: field('Name'),
    uid: effective('Uid'),
    gid: effective('Gid'),
    caps: Array.from({ length: 64 }, (_, cap) => cap).filter((cap) => (caps >> BigInt(cap)) & 1n),
    interrupts: (mask('SigPnd') | mask('ShdPnd')) & ~mask('SigBlk') & ~mask('SigIgn'),
  };
}

/** Whether a signal waits that would end a thread's sleep. */
export function isInterrupted(tid: number): boolean {
  try {
    return statusOf(tid).interrupts !== 0n;
  } catch {
    return true; // it is gone
  }
}

/** A process of the host that the lab has met. */
export class HostProcess {
  readonly tgid: number;
  readonly process: UserProcess;
  readonly #pidfd: number;
  readonly #watch: Watch;
  readonly #exited: () => void;
  /** What keeps it in the lab beyond its end: files that others have inherited. */
  #holders = 0;
  #gone = false;

  constructor(tgid: number, process: UserProcess, pidfd: number, exited: () => void) {
    this.tgid = tgid;
    this.process = process;
    this.#pidfd = pidfd;
    this.#exited = exited;
    this.#watch = watchReadable(pidfd, () => this.#leave());
  }

  /** Whether it runs, which tells it from another process of the same number. */
  get lives(): boolean {
    return !this.#gone && !isReadable(this.#pidfd);
  }

  hold(): void {
    this.#holders++;
  }

  release(): void {
    this.#holders--;
    if (this.#gone && this.#holders === 0) this.#exited();
  }

  #leave(): void {
    if (this.#gone) return;
    this.#gone = true;
    this.#watch.close();
    closeSync(this.#pidfd);
    if (this.#holders === 0) this.#exited();
  }

  /** Do not wait for its end. */
  close(): void {
    this.#leave();
  }
}

/** The processes of the host that have called the lab. */
export class HostProcesses {
  readonly #lab: Lab;
  readonly #processes = new Map<number, HostProcess>();
  /** Every one whose lab process lives. */
  readonly #all = new Set<HostProcess>();
  readonly #leaving = new Set<Promise<void>>();

  constructor(lab: Lab) {
    this.#lab = lab;
  }

  /**
   * The process a thread belongs to, with the name and the rights it has now.
   *
   * @throws CallError ESRCH when the thread is gone
   */
  async of(tid: number): Promise<HostProcess> {
    const status = statusOf(tid);
    const known = this.#processes.get(status.tgid);
    if (known?.lives === true) {
      update(known.process, status);
      return known;
    }
    const { comm, uid, gid, caps } = status;
    let pidfd: number;
    try {
      pidfd = pidfdOpen(status.tgid);
    } catch {
      throw new CallError(ESRCH, `no process ${status.tgid}`);
    }
    const process = await this.#lab.process(comm, { uid, gid, caps });
    const meanwhile = this.#processes.get(status.tgid);
    if (meanwhile?.lives === true) { // another thread of it was quicker
      closeSync(pidfd);
      await this.#lab.exitProcess(process);
      return meanwhile;
    }
    const made: HostProcess = new HostProcess(status.tgid, process, pidfd, () => this.#exit(made));
    this.#processes.set(status.tgid, made);
    this.#all.add(made);
    return made;
  }

  #exit(process: HostProcess): void {
    if (!this.#all.delete(process)) return;
    if (this.#processes.get(process.tgid) === process) this.#processes.delete(process.tgid);
    const leaving = this.#lab.exitProcess(process.process).finally(() => this.#leaving.delete(leaving));
    this.#leaving.add(leaving);
  }

  /** All leave the lab, whether they still run or not. */
  async close(): Promise<void> {
    for (const process of this.#all) {
      process.close();
      this.#exit(process);
    }
    await Promise.all(this.#leaving);
  }
}

function update({ proc }: UserProcess, { comm, uid, gid, caps }: Status): void {
  proc.comm = comm;
  proc.cred.uid = uid;
  proc.cred.gid = gid;
  proc.cred.caps.clear();
  for (const cap of caps) proc.cred.caps.add(cap);
}
