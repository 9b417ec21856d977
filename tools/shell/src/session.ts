/** A shell that lives across commands, its output in the host's hands. */
import type { FileOperations } from '@vdpalab/fs';
import type { UserProcess } from '@vdpalab/lab';
import { O_RDONLY, O_WRONLY, utf8Decode } from '@vdpalab/uapi';
import { applets as ownApplets } from './applets/index.ts';
import { Shell, type AppletTable } from './shell.ts';
import { Leave, ShellState } from './state.ts';
import type { System } from './system.ts';

/** What one command did. */
export interface CommandResult {
  readonly stdout: string;
  readonly stderr: string;
  readonly status: number;
}

/** Where a session's output goes. */
export interface SessionOptions {
  readonly applets?: AppletTable;
  /** Gets output as it is written, besides the result. */
  readonly onOutput?: (text: string, stream: 'stdout' | 'stderr') => void;
  /** Exported variables. */
  readonly env?: Readonly<Record<string, string>>;
  readonly name?: string;
}

/** The helper that recordings of sysfs trees use, which stumbles over links whose names have blanks. */
export const WALK = `walk() { find "$1" -mindepth "\${3:-0}" -maxdepth "\${2:-3}" | sort | while read -r p; do
  if [ -L "$p" ]; then echo "l $(stat -c %a $p) $p -> $(readlink $p)"
  elif [ -d "$p" ]; then echo "d $(stat -c %a "$p") $p"
  elif [ -f "$p" ]; then m=$(stat -c %a "$p"); case $m in 2*|[0-3]*) echo "f $m $p";; *) echo "f $m $p = $(timeout 2 head -c 400 "$p" 2>&1 | tr '\\0' '~' | tr '\\n' '|')";; esac
  else echo "? $(stat -c '%a %t:%T' "$p") $p"; fi; done; }`;

/** The programs a lab's machine has. */
function present(all: AppletTable, { lab }: System): AppletTable {
  const without = new Set(lab?.config.programs.without);
  return without.size === 0 ? all : new Map([...all].filter(([name]) => !without.has(name)));
}

/** One shell session. All calls happen inside a task of its process. */
export class Session {
  readonly shell: Shell;
  readonly #chunks: { stdout: Uint8Array[]; stderr: Uint8Array[] } = { stdout: [], stderr: [] };
  readonly #onOutput: SessionOptions['onOutput'];
  /** Set once `exit` was called: its status. */
  exited: number | null = null;

  private constructor(shell: Shell, options: SessionOptions) {
    this.shell = shell;
    this.#onOutput = options.onOutput;
  }

  /** Begin a session in a process whose standard streams are closed. Inside a task of it. */
  static async open(system: System, p: UserProcess, options: SessionOptions = {}): Promise<Session> {
    const state = new ShellState(p, options.name ?? 'bash');
    const env = { HOME: '/root', PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', PWD: p.proc.cwd, ...options.env };
    for (const [name, value] of Object.entries(env)) state.set(name, value, true);
    state.set('IFS', ' \t\n');
    state.set('BASH_VERSION', '5.2.15(1)-release');
    const session = new Session(new Shell(state, system, present(options.applets ?? ownApplets, system)), options);
    session.#attach(system, p);
    await session.shell.run(WALK);
    return session;
  }

  #attach(system: System, p: UserProcess): void {
    const input: FileOperations = { read: async () => new Uint8Array(0) };
    const output = (stream: 'stdout' | 'stderr'): FileOperations => ({
      write: async (_file, bytes) => {
        this.#chunks[stream].push(bytes.slice());
        this.#onOutput?.(utf8Decode(bytes), stream);
        return bytes.length;
      },
    });
    const getfd = system.symbol('anon_inode_getfd');
    getfd(p.proc, '[stdin]', input, null, O_RDONLY);
    getfd(p.proc, '[stdout]', output('stdout'), null, O_WRONLY);
    getfd(p.proc, '[stderr]', output('stderr'), null, O_WRONLY);
  }

  /** Run a command line; the shell's state stays for the next one. */
  async run(text: string): Promise<CommandResult> {
    this.#chunks.stdout = [];
    this.#chunks.stderr = [];
    const end = this.shell.system.lab?.refusals.begin(text);
    const status = await this.#guarded(text);
    const stderr = this.#take('stderr');
    end?.(status, stderr);
    return { stdout: this.#take('stdout'), stderr, status };
  }

  /** What was written so far by a command that does not end. */
  partial(): { stdout: string; stderr: string } {
    return { stdout: this.#take('stdout'), stderr: this.#take('stderr') };
  }

  /** Say something on the session's standard error that no program of the lab said. */
  tell(text: string): void {
    this.#onOutput?.(text, 'stderr');
  }

  #take(stream: 'stdout' | 'stderr'): string {
    return utf8Decode(Buffer.concat(this.#chunks[stream]));
  }

  async #guarded(text: string): Promise<number> {
    const { shell } = this;
    shell.state.lenient = 0;
    shell.state.loops = 0;
    try {
      return await shell.run(text);
    } catch (error) {
      if (error instanceof Leave && error.kind === 'exit') this.exited = error.count;
      const status = await shell.statusOf(error);
      shell.state.status = status;
      return status;
    }
  }

  /** End the session: the EXIT trap runs. */
  async close(): Promise<void> {
    const trap = this.shell.state.traps.get('EXIT');
    this.shell.state.traps.delete('EXIT');
    if (trap !== undefined) await this.run(trap);
  }
}

