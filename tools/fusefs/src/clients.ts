/** Processes of the host that use the mount, each as a process of the lab. */
import { closeSync, openSync, readFileSync, readSync } from 'node:fs';
import type { File } from '@vdpalab/fs';
import type { Lab, UserProcess } from '@vdpalab/lab';
import { CAP_LAST_CAP } from '@vdpalab/uapi';
import { HostFiles } from './outside/descriptors.ts';
import type { FindFile } from './outside/descriptors.ts';
import { HostLimits } from './outside/limits.ts';
import { HostMemory } from './outside/memory.ts';
import type { FuseRequest } from './request.ts';

/** How long what /proc says of a thread is believed, in milliseconds. A pid comes round far more slowly. */
const BELIEVED_MS = 500;
/** Milliseconds between two looks for processes that are gone. */
const SWEEP_MS = 250;

/** A process of the host, and the lab's process that stands for it. */
export interface Client {
  /** Process id on the host; 0 for callers that have none here. */
  readonly tgid: number;
  readonly process: UserProcess;
  /** The host's process is gone, and the lab's has exited. */
  ended: boolean;
}

interface Tracked extends Client {
  /** Descriptor of /proc/TGID/stat: it stays with this process, whoever gets the number next; -1 without. */
  readonly stat: number;
  /** What its descriptors lead to; `null` for callers that have no process id here. */
  readonly files: HostFiles | null;
}

/** The clients of one mount. */
export class Clients {
  readonly #lab: Lab;
  readonly #byTgid = new Map<number, Tracked>();
  readonly #byThread = new Map<number, { readonly client: Tracked; until: number }>();
  /** Exits under way. */
  readonly #exits = new Set<Promise<void>>();
  readonly #sweeper: NodeJS.Timeout;
  readonly #line = Buffer.alloc(512);
  readonly #onBug: (text: string) => void;

  readonly #find: (client: Client, fd: number) => File | null;

  /** @param find the lab's file that a descriptor of a client leads to, through the mount */
  constructor(lab: Lab, onBug: (text: string) => void, find: (client: Client, fd: number) => File | null) {
    this.#lab = lab;
    this.#find = find;
    this.#onBug = onBug;
    this.#sweeper = setInterval(() => this.sweep(), SWEEP_MS).unref();
  }

  /** The caller's process; made at its first call, with the ids it calls with. */
  of({ pid, uid, gid }: Pick<FuseRequest, 'pid' | 'uid' | 'gid'>): Client {
    const now = performance.now();
    const seen = this.#byThread.get(pid);
    let client: Tracked;
    if (seen !== undefined && now < seen.until && !seen.client.ended) {
      client = seen.client;
    } else {
      client = this.#lookUp(pid, uid, gid);
      this.#byThread.set(pid, { client, until: now + BELIEVED_MS });
    }
    const { cred } = client.process.proc;
    if (cred.uid !== uid || cred.gid !== gid) this.#setIds(client, uid, gid);
    return client;
  }

  /** End the processes whose host process is gone. */
  sweep(): void {
    for (const client of this.#byTgid.values()) if (this.#isGone(client)) this.#end(client);
    for (const [pid, { client }] of this.#byThread) if (client.ended) this.#byThread.delete(pid);
  }

  /** End them all. */
  async close(): Promise<void> {
    clearInterval(this.#sweeper);
    for (const client of this.#byTgid.values()) this.#end(client);
    this.#byThread.clear();
    await Promise.all(this.#exits);
  }

  #lookUp(pid: number, uid: number, gid: number): Tracked {
    const tgid = threadGroup(pid);
    const known = this.#byTgid.get(tgid);
    if (known !== undefined) {
      if (!this.#isGone(known)) return known;
      this.#end(known);
    }
    let stat = -1;
    let comm = tgid === 0 ? 'host' : `pid-${tgid}`;
    try {
      stat = tgid === 0 ? -1 : openSync(`/proc/${tgid}/stat`, 'r');
      if (stat >= 0) comm = this.#read(stat)?.comm ?? comm;
    } catch { /* gone already, or not shown to us */ }
    const find: FindFile = (fd) => this.#find(client, fd);
    const files = tgid === 0 ? null : new HostFiles(tgid, this.#lab.hw.sched, find);
    const outside = files === null ? {} : { mm: this.#lab.symbol('mm_foreign')(new HostMemory(tgid)), outside: files };
    const process = this.#lab.spawnProcess(comm, { uid, gid, rlimits: new HostLimits(tgid, () => client.process.proc.cred.uid === 0), ...outside });
    process.proc.umask = 0; // the host's kernel has taken the caller's off
    const client: Tracked = { tgid, process, stat, files, ended: false };
    this.#byTgid.set(tgid, client);
    return client;
  }

  #setIds(client: Client, uid: number, gid: number): void {
    const { cred } = client.process.proc;
    if (cred.uid !== uid) {
      cred.caps.clear();
      if (uid === 0) for (let cap = 0; cap <= CAP_LAST_CAP; cap++) cred.caps.add(cap);
    }
    cred.uid = uid;
    cred.gid = gid;
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

  #end(client: Tracked): void {
    if (client.ended) return;
    client.ended = true;
    if (this.#byTgid.get(client.tgid) === client) this.#byTgid.delete(client.tgid);
    if (client.stat >= 0) closeSync(client.stat);
    client.files?.close();
    const exit = this.#lab.exitProcess(client.process).catch((error: unknown) => {
      this.#onBug(`fuse: process ${client.tgid} does not exit in the lab: ${String(error)}`);
    }).finally(() => {
      this.#exits.delete(exit);
    });
    this.#exits.add(exit);
  }
}

/** The process a thread belongs to; the number itself when /proc does not show it. */
function threadGroup(pid: number): number {
  if (pid === 0) return 0;
  try {
    const tgid = /^Tgid:\s*(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1];
    return tgid === undefined ? pid : Number(tgid);
  } catch {
    return pid;
  }
}
