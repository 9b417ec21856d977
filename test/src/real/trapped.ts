/** Real programs whose calls a lab answers, for tests. */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import type { Duplex } from 'node:stream';
import { HostProcesses } from '@vdpalab/fusefs';
import type { Lab, UserProcess } from '@vdpalab/lab';
import { familyNames, installedTrap, letBegin, requireTrap, TrapSupervisor, trapWords } from '@vdpalab/launcher';
import { labSystem, Session } from '@vdpalab/shell';

/** What a program did. */
export interface Outcome {
  readonly stdout: string;
  readonly stderr: string;
  /** Exit status, or the signal that ended it. */
  readonly status: number | string;
}

/** Why these tests cannot run here, or `null`. @param programs that must be installed, with an argument they take */
export function whyNoTrap(...programs: readonly (readonly [string, string])[]): string | null {
  try {
    requireTrap();
  } catch (error) {
    return (error as Error).message;
  }
  const missing = programs.find(([program, argument]) => spawnSync(program, [argument], { env: { PATH } }).error !== undefined);
  return missing === undefined ? null : `${missing[0]} is not installed`;
}

const PATH = `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`;

/** What a running program offers. */
export interface Running {
  /** Of the program, once its calls are answered. */
  readonly pid: number;
  readonly outcome: Promise<Outcome>;
  /** Stop answering. */
  readonly forsake: () => Promise<void>;
}

/** Start a program. */
export async function start(lab: Lab, argv: readonly string[]): Promise<Running> {
  const bugs: string[] = [];
  const [node = '', ...words] = trapWords(3);
  const child = spawn(node, [...words, ...argv], { stdio: ['ignore', 'pipe', 'pipe', 'pipe'], env: { PATH, LC_ALL: 'C', HOME: '/root' } });
  const out = { stdout: '', stderr: '' };
  child.stdout?.setEncoding('utf8').on('data', (text: string) => void (out.stdout += text));
  child.stderr?.setEncoding('utf8').on('data', (text: string) => void (out.stderr += text));
  const ended = new Promise<number | string>((resolve, reject) => {
    child.on('error', reject).on('close', (code, signal) => resolve(code ?? signal ?? -1));
  });
  const processes = new HostProcesses(lab, (text) => void bugs.push(text));
  const channel = child.stdio[3] as Duplex; // a pipe, as asked for
  const installed = await installedTrap(channel);
  const supervisor = installed === null ? null : TrapSupervisor.of(installed, { lab, processes, families: familyNames, report: (text) => void bugs.push(text) });
  letBegin(channel);
  const outcome = ended.then(async (status) => {
    if (supervisor !== null) {
      await supervisor.ended;
      await supervisor.close();
    }
    await processes.close();
    if (bugs.length > 0) throw new Error(bugs.join('\n'));
    return { ...out, status };
  });
  return { pid: child.pid as number, outcome, forsake: async () => { await supervisor?.close(); } };
}

/** Run a program to its end. */
export async function run(lab: Lab, ...argv: readonly string[]): Promise<Outcome> {
  return (await start(lab, argv)).outcome;
}

/** Close a lab. @throws Error when something is left */
export async function closeClean(lab: Lab): Promise<void> {
  const left = await lab.close();
  if (left.length > 0) throw new Error(`left behind: ${left.join(', ')}`);
}

/** The lab's own shell, to hold the real programs against. */
export class OwnShell {
  readonly #lab: Lab;
  readonly #process: UserProcess;
  readonly #session: Session;

  private constructor(lab: Lab, process: UserProcess, session: Session) {
    this.#lab = lab;
    this.#process = process;
    this.#session = session;
  }

  static async open(lab: Lab): Promise<OwnShell> {
    const process = await lab.process('bash', { cwd: '/root' });
    const system = labSystem(lab, (proc) => lab.processOf(proc));
    return new OwnShell(lab, process, await lab.as(process, () => Session.open(system, process)));
  }

  async run(line: string): Promise<Outcome> {
    return { ...(await this.#lab.as(this.#process, () => this.#session.run(line))) };
  }

  async close(): Promise<void> {
    await this.#lab.as(this.#process, () => this.#session.close());
    await this.#lab.exitProcess(this.#process);
  }
}

/** A folder of the host, removed by {@link Scratch.close}. */
export class Scratch {
  readonly folder = mkdtempSync(join(tmpdir(), 'vdpalab-trap-'));

  /** A file in it. @returns its path */
  file(name: string, contents: string | Uint8Array): string {
    const path = join(this.folder, name);
    writeFileSync(path, contents);
    return path;
  }

  /** Copies of a lab's module files. @param modules below /lib/modules/RELEASE/kernel, without `.ko`. @returns their paths */
  async modules(lab: Lab, ...modules: readonly string[]): Promise<string[]> {
    const files = await lab.user((p) => modules.reduce<Promise<Uint8Array[]>>(
      async (list, name) => [...await list, await p.readFileBytes(`/lib/modules/${lab.config.release}/kernel/${name}.ko`)], Promise.resolve([]),
    ));
    return files.map((bytes, i) => this.file(`${basename(modules[i] as string)}.ko`, bytes));
  }

  close(): void {
    rmSync(this.folder, { recursive: true });
  }
}
