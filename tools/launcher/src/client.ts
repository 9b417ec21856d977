/** The caller's end of the control socket. */
import { read, readFileSync, statSync, writeSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { LauncherError } from './errors.ts';
import { CHUNK, encode, LineSplitter, MAX_FILE, parseAnswer, toBytes, toText, type Answer, type Entrance, type Followup, type LabStatus, type Request } from './protocol.ts';
import type { FamilyName } from './trap/family-names.ts';
import type { Installed } from './trap/trap.ts';

/** Something that listens is gone, or was never there. */
const NOBODY: ReadonlySet<string> = new Set(['ECONNREFUSED', 'ENOENT', 'ENOTSOCK']);

/** One request under way. */
export class Call {
  readonly #socket: Socket;
  readonly #splitter = new LineSplitter();
  readonly #answers: Answer[] = [];
  #take: ((answer: Answer | null) => void) | null = null;
  #ended = false;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setEncoding('utf8');
    socket.on('data', (text: string) => {
      for (const line of this.#splitter.push(text)) this.#arrive(parseAnswer(line));
    });
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      this.#ended = true;
      this.#take?.(null);
    });
  }

  /** Ask the lab behind a socket. @returns `null` when nobody listens there */
  static async open(path: string, request: Request): Promise<Call | null> {
    const socket = connect(path);
    try {
      await new Promise<void>((resolve, reject) => {
        socket.once('connect', resolve);
        socket.once('error', reject);
      });
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== undefined && NOBODY.has(code)) return null;
      throw new LauncherError(`${path}: ${(error as Error).message}`);
    }
    const call = new Call(socket);
    socket.write(encode(request));
    return call;
  }

  /** The next thing it says; `null` once the lab is gone. @throws LauncherError when it refuses */
  async next(): Promise<Answer | null> {
    const answer = await this.answer();
    if (answer !== null && 'error' in answer) throw new LauncherError(answer.error, 1);
    return answer;
  }

  /** As {@link next}, refusals included. */
  async answer(): Promise<Answer | null> {
    return this.#answers.shift() ?? (this.#ended ? null : await new Promise<Answer | null>((resolve) => {
      this.#take = resolve;
    }));
  }

  say(message: Followup): void {
    this.#socket.write(encode(message));
  }

  /** Leave. */
  close(): void {
    this.#socket.destroy();
  }

  #arrive(answer: Answer): void {
    if (this.#take === null) {
      this.#answers.push(answer);
      return;
    }
    const take = this.#take;
    this.#take = null;
    take(answer);
  }
}

/** Ask something that is answered by one message. @returns `null` when nobody listens. @throws LauncherError */
async function ask(path: string, request: Request): Promise<Answer | null> {
  const call = await Call.open(path, request);
  if (call === null) return null;
  const answer = await call.next();
  call.close();
  return answer;
}

/** How a lab is; `null` when it does not run. */
export async function askStatus(path: string): Promise<LabStatus | null> {
  const answer = await ask(path, { op: 'status' });
  return answer !== null && 'status' in answer ? answer.status : null;
}

/** End a lab. @returns what it left behind; `null` when it does not run */
export async function askDown(path: string): Promise<readonly string[] | null> {
  const answer = await ask(path, { op: 'down' });
  return answer !== null && 'left' in answer ? answer.left : null;
}

/** Enter a lab for as long as the call is open. @returns `null` when it does not run. @throws LauncherError when nobody can enter */
export async function attach(path: string, argv: readonly string[]): Promise<{ readonly entrance: Entrance; readonly call: Call } | null> {
  const call = await Call.open(path, { op: 'attach', pid: process.pid, argv });
  const answer = (await call?.answer()) ?? null;
  if (answer !== null && 'error' in answer) throw new LauncherError(answer.error);
  return call !== null && answer !== null && 'attached' in answer ? { entrance: answer.attached, call } : null;
}

/** Have a lab answer the calls of a filter. @throws LauncherError when it cannot, or is gone */
export async function askTrap(path: string, installed: Installed, families: readonly FamilyName[]): Promise<void> {
  if ((await ask(path, { op: 'trap', ...installed, families })) === null) throw new LauncherError('the lab went away', 1);
}

/** Signals that are the lab's program's, not the caller's. */
const PASSED = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2'] as const;
const NUMBERS: Readonly<Record<(typeof PASSED)[number], number>> = { SIGHUP: 1, SIGINT: 2, SIGQUIT: 3, SIGUSR1: 10, SIGUSR2: 12, SIGTERM: 15 };

/**
 * Run a program of a lab with this process's standard streams.
 *
 * @returns its exit status. @throws LauncherError when the lab is not there, or goes away
 */
export async function runInLab(path: string, argv: readonly string[]): Promise<number> {
  const env = Object.fromEntries(Object.entries(process.env).filter((entry): entry is [string, string] => entry[1] !== undefined && !/^(BASH_FUNC_|PERL_BADLANG$)/.test(entry[0])));
  const call = await Call.open(path, { op: 'run', argv, cwd: process.cwd(), env });
  if (call === null) throw new LauncherError(`no lab listens at ${path}`, 1);
  for (const name of PASSED) process.on(name, () => call.say({ signal: NUMBERS[name] }));
  for (let answer = await call.next(); answer !== null; answer = await call.next()) {
    if ('out' in answer) writeAll(1, toBytes(answer.out));
    else if ('err' in answer) writeAll(2, toBytes(answer.err));
    else if ('want' in answer) {
      readSome(answer.want, (text) => call.say({ in: text }));
    }
    else if ('fetch' in answer) lend(call, answer.fetch);
    else if ('exit' in answer) {
      if (answer.signal !== undefined) await dieBy(answer.signal);
      return answer.exit;
    }
  }
  throw new LauncherError('the lab went away', 1);
}

/** End by the signal that ended the program: whoever waits is to know, and a read that is under way would hold up an exit. */
async function dieBy(signal: number): Promise<void> {
  for (const name of PASSED) process.removeAllListeners(name);
  process.kill(process.pid, signal);
  await new Promise(() => {}); // the signal comes
}

/** Write it all, to a descriptor that may be non-blocking. */
function writeAll(fd: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length;) {
    try {
      at += writeSync(fd, bytes, at);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EPIPE') process.exit(128 + 13);
      if (code !== 'EAGAIN') throw error;
    }
  }
}

/** What standard input has, at least a byte; nothing at its end. Never ahead of what is asked for: the rest is others'. */
function readSome(length: number, done: (text: string) => void): void {
  const buffer = new Uint8Array(Math.min(length, CHUNK));
  read(0, buffer, 0, buffer.length, null, (error, count) => {
    if (error?.code === 'EAGAIN') setTimeout(() => readSome(length, done), 10); // somebody left it non-blocking
    else done(error === null ? toText(buffer.subarray(0, count)) : '');
  });
}

/** Send a file the lab asks for. */
function lend(call: Call, path: string): void {
  let bytes: Uint8Array | null = null;
  try {
    const stat = statSync(path);
    if (stat.isFile() && stat.size <= MAX_FILE) bytes = readFileSync(path);
  } catch { /* not there, or not to be read: the program says so itself */ }
  if (bytes === null) {
    call.say({ none: true });
    return;
  }
  for (let at = 0; at < bytes.length; at += CHUNK) call.say({ in: toText(bytes.subarray(at, at + CHUNK)) });
  call.say({ in: '' });
}
