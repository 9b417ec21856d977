/** Processes of the host that use a lab, through whichever door, each as one process of the lab. */
import { closeSync, openSync, readSync } from 'node:fs';
import type { File } from '@vdpalab/fs';
import type { Lab, UserProcess } from '@vdpalab/lab';
import { CAP_LAST_CAP } from '@vdpalab/uapi';
import { HostFiles } from './outside/descriptors.ts';
import type { FindFile } from './outside/descriptors.ts';
import { HostLimits } from './outside/limits.ts';
import { HostMemory } from './outside/memory.ts';
import { statusOf, type ThreadStatus } from './outside/status.ts';
import type { FuseRequest } from './request.ts';

/** How long what /proc says of a thread is believed, in milliseconds. A pid comes round far more slowly. */
const BELIEVED_MS = 500;
/** Milliseconds between two looks for processes that are gone. */
const SWEEP_MS = 250;

/** A process of the host, and the lab's process that stands for it. */
export interface HostProcess {
  /** Process id on the host; 0 for callers that have none here. */
  readonly tgid: number;
  readonly process: UserProcess;
  /** Keep it in the lab beyond its end: others have inherited a file that is opened as its. */
  readonly hold: () => void;
  readonly release: () => void;
}

interface Tracked extends HostProcess {
  /** Descriptor of /proc/TGID/stat: it stays with this process, whoever gets the number next; -1 without. */
  readonly stat: number;
  /** What its descriptors lead to; `null` for callers that have no process id here. */
  readonly files: HostFiles | null;
  holders: number;
  /** The host's process has ended. */
  gone: boolean;
}

/** The host's processes in one lab. */
export class HostProcesses {
  /** The lab's file that a descriptor of a process leads to; a mount knows. */
  findFile: (process: HostProcess, fd: number) => File | null = () => null;
  readonly #lab: Lab;
  readonly #byTgid = new Map<number, Tracked>();
  readonly #byThread = new Map<number, { readonly client: Tracked; until: number }>();
  /** Those that are gone and held. */
  readonly #held = new Set<Tracked>();
  /** Exits under way. */
  readonly #exits = new Set<Promise<void>>();
  readonly #sweeper: NodeJS.Timeout;
  readonly #line = Buffer.alloc(512);
  readonly #onBug: (text: string) => void;

  /** @param onBug told of what should not happen */
  constructor(lab: Lab, onBug: (text: string) => void) {
    this.#lab = lab;
    this.#onBug = onBug;
    this.#sweeper = setInterval(() => this.sweep(), SWEEP_MS).unref();
  }

  /** The process of a mount's caller; made at its first call, with the ids it calls with. */
  of({ pid, uid, gid }: Pick<FuseRequest, 'pid' | 'uid' | 'gid'>): HostProcess {
    const now = performance.now();
    const seen = this.#byThread.get(pid);
    let client: Tracked;
    if (seen !== undefined && now < seen.until && !seen.client.gone) {
      client = seen.client;
    } else {
      const tgid = pid === 0 ? 0 : statusOf(pid)?.tgid ?? pid; // itself when /proc does not show it
      client = this.#known(tgid) ?? this.#make(tgid, { uid, gid });
      this.#byThread.set(pid, { client, until: now + BELIEVED_MS });
    }
    const { cred } = client.process.proc;
    if (cred.uid !== uid || cred.gid !== gid) setIds(client, uid, gid);
    return client;
  }

  /** The process a thread belongs to, with the name and the rights it has now; `null` when the thread is gone. */
  ofThread(tid: number): HostProcess | null {
    const status = statusOf(tid);
    if (status === null) return null;
    const known = this.#known(status.tgid);
    if (known === null) return this.#make(status.tgid, status);
    update(known, status);
    return known;
  }

  /** End the processes whose host process is gone. */
  sweep(): void {
    for (const client of this.#byTgid.values()) if (this.#isGone(client)) this.#leave(client);
    for (const [pid, { client }] of this.#byThread) if (client.gone) this.#byThread.delete(pid);
  }

  /** End them all, whether they still run or not. */
  async close(): Promise<void> {
    clearInterval(this.#sweeper);
    for (const client of this.#byTgid.values()) this.#leave(client);
    for (const client of this.#held) this.#exit(client);
    this.#byThread.clear();
    await Promise.all(this.#exits);
  }

  /** Who runs under a number, if we have met it. */
  #known(tgid: number): Tracked | null {
    const known = this.#byTgid.get(tgid);
    if (known === undefined) return null;
    if (!this.#isGone(known)) return known;
    this.#leave(known);
    return null;
  }

  #make(tgid: number, rights: { readonly uid: number; readonly gid: number; readonly caps?: readonly number[] }): Tracked {
    const { uid, gid, caps } = rights;
    let stat = -1;
    let comm = tgid === 0 ? 'host' : `pid-${tgid}`;
    try {
      stat = tgid === 0 ? -1 : openSync(`/proc/${tgid}/stat`, 'r');
      if (stat >= 0) comm = this.#read(stat)?.comm ?? comm;
    } catch { /* gone already, or not shown to us */ }
    const find: FindFile = (fd) => this.findFile(client, fd);
    const files = tgid === 0 ? null : new HostFiles(tgid, this.#lab.hw.sched, find);
    const outside = files === null ? {} : { mm: this.#lab.symbol('mm_foreign')(new HostMemory(tgid)), outside: files };
    const limits = new HostLimits(tgid, () => client.process.proc.cred.uid === 0);
    const process = this.#lab.spawnProcess(comm, { uid, gid, rlimits: limits, ...(caps === undefined ? {} : { caps }), ...outside });
    process.proc.umask = 0; // the host's kernel has taken the caller's off
    const client: Tracked = {
      tgid, process, stat, files, holders: 0, gone: false,
      hold: () => void client.holders++,
      release: () => {
        if (--client.holders === 0 && client.gone) this.#exit(client);
      },
    };
    this.#byTgid.set(tgid, client);
    return client;
  }

  /** Whether the process has ended; a zombie has let go of everything. */
  #isGone(client: Tracked): boolean {
    if (client.stat < 0) return false;
    const stat = this.#read(client.stat);
    return stat === null || ((stat.state === 'Z' || stat.state === 'X') && stat.threads <= 1);
  }

  /** @returns `null` for a process that was waited for */
  #read(fd: number): { comm: string; state: string; threads: number } | null {
    try {
      const line = this.#line.toString('latin1', 0, readSync(fd, this.#line, 0, this.#line.length, 0));
      const end = line.lastIndexOf(')');
      const fields = line.slice(end + 2).split(' ');
      return { comm: line.slice(line.indexOf('(') + 1, end), state: fields[0] ?? '', threads: Number(fields[17]) };
    } catch {
      return null;
    }
  }

  /** The host's process is no more. */
  #leave(client: Tracked): void {
    client.gone = true;
    if (this.#byTgid.get(client.tgid) === client) this.#byTgid.delete(client.tgid);
    if (client.stat >= 0) closeSync(client.stat);
    client.files?.close();
    if (client.holders === 0) this.#exit(client);
    else this.#held.add(client);
  }

  #exit(client: Tracked): void {
    this.#held.delete(client);
    const exit = this.#lab.exitProcess(client.process).catch((error: unknown) => {
      this.#onBug(`process ${client.tgid} of the host does not exit in the lab: ${String(error)}`);
    }).finally(() => {
      this.#exits.delete(exit);
    });
    this.#exits.add(exit);
  }
}

function setIds(client: Tracked, uid: number, gid: number): void {
  const { cred } = client.process.proc;
  if (cred.uid !== uid) {
    cred.caps.clear();
    if (uid === 0) for (let cap = 0; cap <= CAP_LAST_CAP; cap++) cred.caps.add(cap);
  }
  cred.uid = uid;
  cred.gid = gid;
}

function update({ process: { proc } }: HostProcess, { comm, uid, gid, caps }: ThreadStatus): void {
  proc.comm = comm;
  proc.cred.uid = uid;
  proc.cred.gid = gid;
  proc.cred.caps.clear();
  for (const cap of caps) proc.cred.caps.add(cap);
}
