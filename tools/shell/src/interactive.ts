/** A shell for a person: a prompt, continued lines, history, completion. A terminal's reader stands in front of it. */
import { LabStuckError, type Lab, type UserProcess } from '@vdpalab/lab';
import { parse } from 'unbash';
import { interrupt } from './interrupt.ts';
import { Session, type SessionOptions } from './session.ts';
import { byBytes } from './streams.ts';
import { syntaxError } from './syntax-error.ts';
import { errorText, labSystem, type System } from './system.ts';
import { provideUsermode } from './usermode.ts';

/** Runs something in a task of the shell's process. */
export type InTask = <T>(body: () => Promise<T>) => Promise<T>;

/** Whether a text is the beginning of a command that goes on. */
export function isUnfinished(text: string): boolean {
  if (/(^|[^\\])(\\\\)*\\$/.test(text)) return true;
  const script = parse(text);
  if (script.errors !== undefined) return /unexpected end of file|unexpected EOF/.test(syntaxError(script, text) ?? '');
  const open = /<<-?\s*(['"]?)([\w.-]+)\1/.exec(text);
  return open !== null && !new RegExp(`^\\t*${open[2]}$`, 'm').test(text.slice(open.index + open[0].length));
}

/** One person's shell. */
export class Interactive {
  readonly session: Session;
  readonly #inTask: InTask;
  readonly #finish: () => Promise<void>;
  readonly #recover: () => Promise<void>;
  readonly #pending: string[] = [];
  /** Commands as they were submitted, oldest first. */
  readonly history: string[] = [];

  constructor(session: Session, inTask: InTask, finish: () => Promise<void> = async () => {}, recover: () => Promise<void> = async () => {}) {
    this.session = session;
    this.#inTask = inTask;
    this.#finish = finish;
    this.#recover = recover;
  }

  /** Open a shell in /root of a lab. */
  static async open(lab: Lab, options: SessionOptions = {}): Promise<Interactive> {
    const process: UserProcess = await lab.process('bash', { cwd: '/root' });
    const inTask: InTask = (body) => lab.as(process, body);
    const system: System = labSystem(lab, (proc) => lab.processOf(proc));
    provideUsermode(lab, system, options);
    const session = await inTask(() => Session.open(system, process, options));
    return new Interactive(session, inTask, () => lab.exitProcess(process), () => interrupt(lab, process));
  }

  /** What stands before the next line. */
  get prompt(): string {
    if (this.#pending.length > 0) return '> ';
    const { state } = this.session.shell;
    const cwd = state.get('PWD') ?? '/';
    const home = state.get('HOME') ?? '/root';
    const root = state.p.proc.cred.uid === 0;
    return `${root ? 'root' : 'user'}@lab:${cwd === home ? '~' : cwd.startsWith(`${home}/`) ? `~${cwd.slice(home.length)}` : cwd}${root ? '#' : '$'} `;
  }

  /** Status of `exit`, once it was called. */
  get exited(): number | null {
    return this.session.exited;
  }

  /**
   * Take a line.
   *
   * @returns the status of the command it ended; `null` when the command goes on
   */
  async submit(line: string): Promise<number | null> {
    this.#pending.push(line);
    const text = this.#pending.join('\n');
    if (isUnfinished(text)) return null;
    this.#pending.length = 0;
    if (text.trim() === '') return this.session.shell.state.status;
    this.history.push(text);
    try {
      return (await this.#inTask(() => this.session.run(text))).status;
    } catch (error) {
      if (!(error instanceof LabStuckError)) throw error;
      this.session.tell(`${error.message}\n`);
      await this.#recover();
      return 124;
    }
  }

  /** Forget a command that was begun: Ctrl-C. */
  cancel(): void {
    this.#pending.length = 0;
  }

  /** What the last word of a line may become, and that word, as node:readline wants them. */
  async complete(line: string): Promise<[string[], string]> {
    const word = /(?:[^\s|&;<>(]|\\.)*$/.exec(line)?.[0] ?? '';
    const before = line.slice(0, line.length - word.length);
    const { shell } = this.session;
    if (/(^|[|&;(]|\b(then|do|else|if|while|until)\s)\s*$/.test(before) && !word.includes('/')) {
      const names = new Set([...shell.applets.keys(), ...shell.builtins.keys(), ...shell.state.functions.keys()]);
      return [[...names].filter((name) => name.startsWith(word)).sort(byBytes), word];
    }
    if (word.startsWith('$')) {
      return [[...shell.state.vars.keys()].filter((name) => name.startsWith(word.slice(1))).sort(byBytes).map((name) => `$${name}`), word];
    }
    const slash = word.lastIndexOf('/');
    const [dir, prefix] = [word.slice(0, slash + 1), word.slice(slash + 1).replace(/\\(.)/g, '$1')];
    const found = await this.#inTask(() => entries(shell.p, dir.replace(/\\(.)/g, '$1')));
    const shown = found.filter(({ name }) => name.startsWith(prefix) && (prefix.startsWith('.') || !name.startsWith('.')));
    return [shown.map(({ name, isDir }) => `${dir}${name.replace(/[\s\\'"$&;|<>()*?]/g, '\\$&')}${isDir ? '/' : ''}`).sort(byBytes), word];
  }

  /** End the shell and its process. */
  async close(): Promise<void> {
    await this.#inTask(() => this.session.close());
    await this.#finish();
  }
}

/** Names in a directory, and which can be entered. */
async function entries(p: UserProcess, dir: string): Promise<{ name: string; isDir: boolean }[]> {
  const path = dir === '' ? '.' : dir;
  try {
    const out: { name: string; isDir: boolean }[] = [];
    for (const { name, kind } of await p.readdir(path)) out.push({ name, isDir: kind === 'dir' || (kind === 'link' && (await isDirectory(p, `${path}/${name}`))) });
    return out;
  } catch (error) {
    errorText(error); // a directory that cannot be read offers nothing
    return [];
  }
}

async function isDirectory(p: UserProcess, path: string): Promise<boolean> {
  try {
    return (await p.stat(path)).kind === 'dir';
  } catch (error) {
    errorText(error); // a dangling link
    return false;
  }
}
