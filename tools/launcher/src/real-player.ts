/** Plays a transcript's commands in the host's bash, inside a lab. */
import { readFile } from 'node:fs/promises';
import { mkdirSync, readFileSync, watch, type FSWatcher } from 'node:fs';
import { join } from 'node:path';
import type { ChildProcess } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { formatLogLine, type Lab } from '@vdpalab/lab';
import { formatUevent, textLines, WALK, type Played, type Plays } from '@vdpalab/shell';
import { enter } from './enter.ts';
import { LauncherError } from './errors.ts';
import { members, mountNamespace } from './namespace.ts';
import type { RunningLab } from './serve.ts';
import type { World } from './world.ts';

/** Milliseconds a command may take: what waits for ever has the status 124 of `timeout`. */
const PATIENCE_MS = 30_000;
/** Milliseconds between two looks at whether the lab has come to rest, and how many of them in a row must find nothing new. */
const LOOK_MS = 3;
const CALM_LOOKS = 3;

/** Reads commands that end with a NUL and tells their statuses: output goes to files of the command's own, so that a job's may come later. */
const DRIVER = `
cd /root
exec {__in}<&3 {__told}>&4 3<&- 4>&-
__n=0 __status=0
while IFS= read -r -d '' __command <&"$__in"; do
  (exit "$__status")
  eval "$__command" >"$__out/o$__n" 2>"$__out/e$__n"
  __status=$? __n=$((__n + 1))
  echo "$__status" >&"$__told"
done
`;

/** What the real shell puts in front of its messages, which the lab's, typed into, does not. */
const LINE_NUMBERS = /^(bash: )(?:eval: )?line \d+: /gm;

/** A bash of the host that plays commands. */
export class RealPlayer implements Plays {
  readonly #lab: Lab;
  readonly #world: World;
  readonly #bash: ChildProcess;
  readonly #out: string;
  readonly #namespace: string;
  readonly #watcher: FSWatcher;
  /** Output files that were written to since they were read: `o7` and `e7` are those of command 7. */
  readonly #written = new Set<string>();
  /** How much of them was read. */
  readonly #read = new Map<string, number>();
  #told: (status: number | null) => void = () => {};

  private constructor(lab: Lab, world: World, bash: ChildProcess, out: string, namespace: string) {
    this.#lab = lab;
    this.#world = world;
    this.#bash = bash;
    this.#out = out;
    this.#namespace = namespace;
    this.#watcher = watch(out, (_event, name) => {
      if (name !== null) this.#written.add(name);
    });
    (bash.stdio[4] as Readable).setEncoding('latin1').on('data', (text: string) => this.#told(Number(text)));
    (bash.stdio[3] as Writable).on('error', () => this.#told(null));
    bash.once('exit', () => this.#told(null));
  }

  /** Start the shell in the lab's /root. @throws LauncherError when nobody can enter the lab */
  static async open({ lab, paths, world, closed }: RunningLab): Promise<RealPlayer> {
    if (world === null) throw new LauncherError(closed ?? 'programs cannot enter the lab');
    const out = join(paths.dir, 'out');
    mkdirSync(out);
    const env = { HOME: '/root', PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C', __out: out };
    const bash = enter(world.entrance, ['bash', '-c', DRIVER, 'bash'], { cwd: '/root', bin: paths.bin, env, stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] });
    const player = new RealPlayer(lab, world, bash, out, await mountNamespace(world.entrance.pid) ?? '');
    await player.play(`export -n __out; ${WALK}`);
    return player;
  }

  /** Run a command until it has ended and the lab is at rest: jobs go on beside the next one. */
  async play(command: string): Promise<Played> {
    const lab = this.#lab;
    const mark = lab.log.mark;
    const uevents = lab.uevents.length;
    const end = lab.refusals.begin(command);
    const status = await this.#ask(command);
    await this.#rest();
    const stdout = await this.#news('o');
    const stderr = (await this.#news('e')).replace(LINE_NUMBERS, '$1');
    end(status, stderr);
    return {
      out: [...textLines(stdout), ...textLines(stderr, 'stderr: '), `exit: ${status}`],
      dmesg: lab.log.since(mark).flatMap((line) => formatLogLine(line).split('\n')),
      uevents: lab.uevents.slice(uevents).map(formatUevent),
    };
  }

  /** End the shell. */
  async close(): Promise<void> {
    this.#watcher.close();
    if (this.#bash.exitCode !== null || this.#bash.signalCode !== null) return;
    const gone = new Promise((resolve) => this.#bash.once('exit', resolve));
    (this.#bash.stdio[3] as Writable).end();
    await gone;
  }

  /** @returns its status; of a shell that ended, its own */
  async #ask(command: string): Promise<number> {
    const answer = new Promise<number | null>((resolve) => {
      this.#told = resolve;
    });
    if (this.#bash.exitCode !== null || this.#bash.signalCode !== null) throw new LauncherError(`the shell has ended: ${command} cannot be played`, 1);
    (this.#bash.stdio[3] as Writable).write(`${command}\0`);
    const timer = setTimeout(() => void this.#interrupt(), PATIENCE_MS);
    const status = await answer;
    clearTimeout(timer);
    return status ?? this.#bash.exitCode ?? 128;
  }

  /** Kill what the shell has started. */
  async #interrupt(): Promise<void> {
    for (const { pid } of await members(this.#namespace, this.#world.entrance.pid)) {
      if (pid === this.#bash.pid) continue;
      try {
        process.kill(pid, 'SIGKILL');
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error; // it ended meanwhile
      }
    }
  }

  /** Until nothing new happens: the last close of a file, and what it sets going, comes after a command's end. */
  async #rest(): Promise<void> {
    const { log, uevents } = this.#lab;
    for (let calm = 0, looks = 0; calm < CALM_LOOKS && looks < 1000; looks++) {
      const before = `${log.mark} ${uevents.length}`;
      await this.#lab.kernel(async () => {}); // what was ready has had its turn
      await delay(LOOK_MS);
      calm = `${log.mark} ${uevents.length}` === before && !this.#world.busy() && !runsJobs(this.#bash.pid) ? calm + 1 : 0;
    }
  }

  /** What was written since the last look: by the command, then by jobs of earlier ones. */
  async #news(letter: 'o' | 'e'): Promise<string> {
    const names = [...this.#written].filter((name) => name.startsWith(letter));
    const parts: Buffer[] = [];
    for (const name of names.sort((a, b) => Number(b.slice(1)) - Number(a.slice(1)))) {
      this.#written.delete(name);
      const bytes = await readFile(join(this.#out, name));
      parts.push(bytes.subarray(this.#read.get(name) ?? 0));
      this.#read.set(name, bytes.length);
    }
    return Buffer.concat(parts).toString();
  }
}

/** Whether a child of the shell has a processor, or waits for one: a job that has only begun may not have called the lab yet. */
function runsJobs(shell = 0): boolean {
  try {
    const jobs = readFileSync(`/proc/${shell}/task/${shell}/children`, 'latin1').trim();
    return jobs !== '' && jobs.split(' ').some((pid) => /\) R /.test(readFileSync(`/proc/${pid}/stat`, 'latin1')));
  } catch {
    return false; // it ends, or the host's kernel does not tell
  }
}
