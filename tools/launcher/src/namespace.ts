/** The processes of a mount namespace. Nothing here touches a file of the namespace itself. */
import { readdir, readFile, readlink } from 'node:fs/promises';

/** A process that is in it. */
export interface Member {
  readonly pid: number;
  readonly comm: string;
}

/** What tells a process's mount namespace from others: `mnt:[4026531841]`; `null` when the process is gone. */
export async function mountNamespace(pid: number): Promise<string | null> {
  try {
    return await readlink(`/proc/${pid}/ns/mnt`);
  } catch {
    return null;
  }
}

/** The processes in a namespace, but for `except`. */
export async function members(namespace: string, except: number): Promise<Member[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const found: Member[] = [];
  for (const pid of pids) {
    if (pid === except || (await mountNamespace(pid)) !== namespace) continue;
    const comm = await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '');
    found.push({ pid, comm: comm.trim() });
  }
  return found;
}
