/** The `vdpalab` command as a process of its own, for tests with real programs. */
import { spawn, type ChildProcess } from 'node:child_process';
import { accessSync, constants, existsSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { hasProgram } from '@vdpalab/launcher';
import { vi, type TestContext } from 'vitest';

const program = fileURLToPath(new URL('../../../tools/cli/bin/vdpalab.js', import.meta.url));

/** Why programs cannot enter a lab here; `null` when they can. */
function whyNot(): string | null {
  const missing = ['unshare', 'nsenter', 'mount', 'bash'].find((name) => !hasProgram(name));
  if (missing !== undefined) return `${missing} is missing`;
  if (process.getuid?.() !== 0) return 'not root';
  try {
    accessSync('/dev/fuse', constants.R_OK | constants.W_OK);
    return null;
  } catch {
    return '/dev/fuse cannot be opened';
  }
}

const reason = whyNot();

/** Skip a test where the host has not what it takes; with VDPALAB_REQUIRE_REAL=1 that is a failure. */
export function needsEntry(context: TestContext, ...programs: string[]): void {
  const missing = programs.find((name) => !hasProgram(name));
  const why = reason ?? (missing === undefined ? null : `${missing} is missing`);
  if (why === null) return;
  if (process.env['VDPALAB_REQUIRE_REAL'] === '1') throw new Error(why);
  context.skip(why);
}

/** What a command did. */
export interface Outcome {
  readonly stdout: string;
  readonly stderr: string;
  /** 128 and the signal for one that a signal ended. */
  readonly status: number;
}

/** A directory for labs of one test file. */
export class Host {
  readonly runtime = join(mkdtempSync(join(tmpdir(), 'vdpalab-real-')), 'r');
  readonly #env: NodeJS.ProcessEnv = { ...process.env, VDPALAB_RUNTIME_DIR: this.runtime, LC_ALL: 'C', PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin` };

  /** Start the command. It is killed after 60 s. */
  start(words: readonly string[], options: { cwd?: string; prefix?: readonly string[] } = {}): ChildProcess {
    const argv = [...(options.prefix ?? []), process.execPath, program, ...words];
    return spawn(argv[0] as string, argv.slice(1), { env: this.#env, timeout: 60_000, killSignal: 'SIGKILL', ...(options.cwd === undefined ? {} : { cwd: options.cwd }) });
  }

  /** Run it to its end. */
  async run(words: readonly string[], options: { cwd?: string; input?: string; prefix?: readonly string[] } = {}): Promise<Outcome> {
    const child = this.start(words, options);
    child.stdin?.on('error', () => {}).end(options.input ?? '');
    return outcome(child);
  }

  /** `vdpalab exec ... -- bash -c SCRIPT`. */
  bash(script: string, options: { exec?: readonly string[]; cwd?: string; input?: string; prefix?: readonly string[] } = {}): Promise<Outcome> {
    return this.run(['exec', ...(options.exec ?? []), '--', 'bash', '-c', script], options);
  }

  /** What labs have left on this machine: directories, keepers, mounts. */
  leftovers(): string[] {
    const left = existsSync(this.runtime) ? readdirSync(this.runtime).map((name) => `directory ${name}`) : [];
    for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
      try {
        if (readlinkSync(`/proc/${pid}/exe`) === '' || Number(pid) === process.pid) continue;
        const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8') + readFileSync(`/proc/${pid}/environ`, 'utf8');
        if (words.includes(this.runtime)) left.push(`process ${pid} ${words.split('\0').slice(0, 4).join(' ')}`);
      } catch { /* gone meanwhile, or a kernel thread */ }
    }
    return [...left, ...readFileSync('/proc/self/mounts', 'utf8').split('\n').filter((line) => line.includes(this.runtime))];
  }

  /** Wait until nothing is left. @throws Error with what is, after 10 s */
  async settled(): Promise<void> {
    await vi.waitFor(() => {
      const left = this.leftovers();
      if (left.length > 0) throw new Error(left.join('\n'));
    }, { timeout: 10_000, interval: 100 });
  }

  /** Remove the directory. */
  close(): void {
    rmSync(join(this.runtime, '..'), { recursive: true, force: true });
  }
}

/** Wait for a child's end, with all it says. */
export async function outcome(child: ChildProcess): Promise<Outcome> {
  let [stdout, stderr] = ['', ''];
  child.stdout?.setEncoding('utf8').on('data', (text: string) => void (stdout += text));
  child.stderr?.setEncoding('utf8').on('data', (text: string) => void (stderr += text));
  const { signals } = (await import('node:os')).constants;
  const status = await new Promise<number>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve(code ?? 128 + (signal === null ? 0 : signals[signal])));
  });
  return { stdout, stderr, status };
}

/** Resolves once the child has said a text on standard output. */
export function said(child: ChildProcess, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    let all = '';
    child.stdout?.on('data', (chunk: Buffer) => {
      all += chunk.toString();
      if (all.includes(text)) resolve();
    });
    child.once('exit', () => reject(new Error(`it ended without saying ${text}: ${all}`)));
  });
}
