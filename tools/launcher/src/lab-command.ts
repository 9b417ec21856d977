/** Runs a program of the lab for a client. */
import { isKernelError, type Atomic } from '@vdpalab/abi';
import { settleMounts } from '@vdpalab/fusefs';
import type { Lab, UserProcess } from '@vdpalab/lab';
import { labSystem, runHosted, type AppletTable, type HostedEnd } from '@vdpalab/shell';
import { O_CREAT, O_TRUNC, O_WRONLY, SIGHUP, SIGKILL } from '@vdpalab/uapi';
import { posix } from 'node:path';
import type { Connection } from './connection.ts';
import { hostStreams } from './host-streams.ts';
import { MAX_FILE, parseFollowup, ProtocolError, toBytes, type Request } from './protocol.ts';

/** Programs that are given a file of the host's by its path. */
const TAKES_FILES: ReadonlySet<string> = new Set(['insmod', 'modinfo', 'modprobe', 'depmod', 'kmod']);

/** Run it to its end; the client is told everything. */
export async function runForClient(lab: Lab, connection: Connection, request: Request & { op: 'run' }, applets: AppletTable): Promise<void> {
  await settleMounts(); // the caller may have closed a device just now
  const name = posix.basename(request.argv[0] ?? '');
  const system = labSystem(lab, (proc) => lab.processOf(proc));
  const lent = TAKES_FILES.has(name) ? await borrowFiles(lab, connection, request) : [];
  const p = await lab.process(name, { cwd: request.cwd });
  const streams = hostStreams(lab, connection);
  const signal = (number: number): void => {
    lab.hw.sched.post('signal', () => killGroup(lab, p, number));
  };
  connection.onDrain = streams.stir;
  connection.onGone = () => {
    signal(SIGHUP);
    signal(SIGKILL);
    streams.stir();
  };
  connection.listen((line) => {
    const message = parseFollowup(line);
    if ('in' in message) streams.feed(message.in);
    else if ('signal' in message) signal(message.signal);
    else throw new ProtocolError('not what a program is told');
  });
  let end: HostedEnd;
  try {
    end = await lab.as(p, async () => {
      p.setpgid(); // signals are for all it starts, as they are on the host for the caller's group
      return runHosted(system, p, request.argv, { ...streams, applets, env: request.env });
    });
  } finally {
    connection.onGone = null;
    await lab.exitProcess(p);
    await giveBack(lab, lent);
  }
  connection.end({ exit: end.status, ...(end.signal === null ? {} : { signal: end.signal }) });
}

/** Signal a program and what it has started; in atomic context. */
function killGroup(lab: Lab, p: UserProcess, signal: number): Atomic {
  try {
    return lab.symbol('ksys_kill')(p.proc, -p.pid, signal);
  } catch (error) {
    if (!isKernelError(error)) throw error; // all have ended
    return undefined;
  }
}

/** What was made in the lab for a program, oldest first. */
interface Lent {
  readonly path: string;
  readonly dir: boolean;
}

/** Copy files of the caller's that arguments name into the lab, where it has none of that path. */
async function borrowFiles(lab: Lab, connection: Connection, { argv, cwd }: Request & { op: 'run' }): Promise<Lent[]> {
  const lent: Lent[] = [];
  for (const word of argv.slice(1)) {
    if (word.startsWith('-') || !/\/|\.ko$/.test(word)) continue;
    const path = posix.resolve(cwd, word);
    if (await lab.user(async (p) => exists(p, path))) continue;
    connection.send({ fetch: path });
    const bytes = await fetched(connection);
    if (bytes === null) continue;
    await lab.user(async (p) => {
      await makeParents(p, path, lent);
      await p.writeFile(path, bytes, O_WRONLY | O_CREAT | O_TRUNC);
      lent.push({ path, dir: false });
    });
  }
  return lent;
}

/** A file as the client sends it; `null` when it has none. */
async function fetched(connection: Connection): Promise<Uint8Array | null> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for (;;) {
    const line = await connection.next();
    if (line === null) return null;
    const message = parseFollowup(line);
    if ('none' in message) return null;
    if (!('in' in message)) throw new ProtocolError('a file was asked for');
    if (message.in === '') return Buffer.concat(chunks);
    const chunk = toBytes(message.in);
    length += chunk.length;
    if (length > MAX_FILE) throw new ProtocolError('the file is too large');
    chunks.push(chunk);
  }
}

async function exists(p: UserProcess, path: string): Promise<boolean> {
  try {
    await p.stat(path);
    return true;
  } catch (error) {
    if (!isKernelError(error)) throw error;
    return false;
  }
}

async function makeParents(p: UserProcess, path: string, made: Lent[]): Promise<void> {
  const dir = posix.dirname(path);
  if (await exists(p, dir)) return;
  await makeParents(p, dir, made);
  await p.mkdir(dir);
  made.push({ path: dir, dir: true });
}

/** Take away again what was made. */
async function giveBack(lab: Lab, lent: readonly Lent[]): Promise<void> {
  await lab.user(async (p) => {
    for (const { path, dir } of lent.toReversed()) {
      try {
        await (dir ? p.rmdir(path) : p.unlink(path));
      } catch (error) {
        if (!isKernelError(error)) throw error; // somebody else put something there, or took it
      }
    }
  });
}
