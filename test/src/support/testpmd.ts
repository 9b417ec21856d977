/** dpdk-testpmd over virtio-user, as a child process. */
import { spawn, spawnSync, type ChildProcessWithoutNullStreams } from 'node:child_process';

/** Whether it is installed. */
export const testpmdPresent = spawnSync('sh', ['-c', 'command -v dpdk-testpmd']).status === 0;

/** Memory in files, no huge pages, no PCI, nothing left in shared places. */
const EAL = ['--no-huge', '--no-shconf', '--no-telemetry', '-m', '256', '--no-pci'];

let runs = 0;

/** One run. */
export class Testpmd {
  /** Resolves with the exit status, `null` after a signal. */
  readonly exited: Promise<number | null>;
  readonly #child: ChildProcessWithoutNullStreams;
  #output = '';
  /** Where the next {@link says} starts to look. */
  #read = 0;
  readonly #listeners = new Set<() => void>();

  /**
   * @param eal instead of a front-end on the socket `path`
   * @param cpu processor that its threads share: they poll without end
   */
  constructor(path: string, args: readonly string[], eal: readonly string[] = ['--vdev', `net_virtio_user0,path=${path}`], cpu = 0) {
    // Lines are wanted as they come: stdio would keep them for a pipe.
    this.#child = spawn('stdbuf', ['-oL', 'dpdk-testpmd', ...EAL, '--lcores', `0@${cpu},1@${cpu}`, '--file-prefix', `vdpalab-${process.pid}-${++runs}`, ...eal, '--', '--total-num-mbufs=8192', '--no-flush-rx', ...args]);
    const take = (chunk: Buffer): void => {
      this.#output += chunk.toString();
      for (const listener of this.#listeners) listener();
    };
    this.#child.stdout.on('data', take);
    this.#child.stderr.on('data', take);
    this.exited = new Promise((resolve) => {
      this.#child.on('exit', (code) => {
        resolve(code);
        for (const listener of this.#listeners) listener();
      });
    });
  }

  get output(): string {
    return this.#output;
  }

  type(text: string): void {
    this.#child.stdin.write(text);
  }

  /** Wait for output, after what was waited for before. @throws Error with all output when it ends without */
  async says(pattern: RegExp): Promise<void> {
    for (;;) {
      const found = pattern.exec(this.#output.slice(this.#read));
      if (found !== null) {
        this.#read += found.index + found[0].length;
        return;
      }
      if (this.#child.exitCode !== null || this.#child.signalCode !== null) throw new Error(`testpmd ended without saying ${pattern}:\n${this.#output}`);
      await new Promise<void>((resolve) => {
        const heard = (): void => {
          this.#listeners.delete(heard);
          resolve();
        };
        this.#listeners.add(heard);
      });
    }
  }

  /** Wait until it forwards. */
  forwarding(): Promise<void> {
    return this.says(/packet forwarding - ports=1|Logical Core 1/);
  }

  /** Wait until its first port has received this many frames. */
  async received(count: number): Promise<void> {
    do {
      this.type('show port stats 0\n');
      await this.says(/RX-packets: \d+ .*\s+RX-errors/);
    } while (this.count('RX-packets') < count);
  }

  /** End it as a person does, by Enter or `quit`. */
  async quit(): Promise<void> {
    this.type('quit\n');
    this.#child.stdin.end();
    const status = await this.exited;
    if (status !== 0) throw new Error(`testpmd exits with ${status}:\n${this.#output}`);
  }

  /** kill -9 */
  kill(): void {
    this.#child.kill('SIGKILL');
  }

  /** A number of its last statistics. */
  count(what: 'RX-packets' | 'TX-packets'): number {
    const all = [...this.#output.matchAll(new RegExp(`${what}: (\\d+)`, 'g'))];
    return Number(all.at(-1)?.[1] ?? NaN);
  }
}
