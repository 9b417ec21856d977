/** The C anchor: compiled when the benchmark starts, then one slice of work per request. */
import { spawn, spawnSync } from 'node:child_process';
import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const SOURCE = fileURLToPath(new URL('../../src/bench/ring.c', import.meta.url));

/** A running anchor. While it waits for a request it uses no CPU. */
export class Anchor {
  private readonly child: ChildProcessWithoutNullStreams;
  private readonly lines: AsyncIterator<string>;
  private readonly folder: string;

  private constructor(child: ChildProcessWithoutNullStreams, folder: string) {
    this.child = child;
    this.folder = folder;
    this.lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  }

  /** Compile and start it. @returns a reason when there is no C compiler */
  static start(): Anchor | string {
    const folder = mkdtempSync(join(tmpdir(), 'vring-bench-'));
    const binary = join(folder, 'ring');
    const made = spawnSync('gcc', ['-O2', '-o', binary, SOURCE], { encoding: 'utf8' });
    if (made.error !== undefined || made.status !== 0) {
      rmSync(folder, { recursive: true });
      return made.error === undefined ? `gcc failed: ${made.stderr}` : 'gcc is not installed';
    }
    return new Anchor(spawn(binary, { stdio: 'pipe' }), folder);
  }

  /**
   * Run one slice.
   *
   * @param kind index in `KINDS`
   * @param turns rounds of 32 buffers
   * @returns nanoseconds
   */
  async slice(kind: number, checked: boolean, turns: number): Promise<number> {
    this.child.stdin.write(`${kind} ${checked ? 1 : 0} ${turns}\n`);
    const line = await this.lines.next();
    if (line.done === true) throw new Error('the C anchor ended');
    return Number(line.value.split(' ')[0]);
  }

  async stop(): Promise<void> {
    const ended = new Promise((resolve) => this.child.once('exit', resolve));
    this.child.stdin.end();
    await ended;
    rmSync(this.folder, { recursive: true });
  }
}
