/** What the machine itself can do, in C, measured in the same run as what is compared with it. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const SOURCE = fileURLToPath(new URL('../../src/bench/memcpy.c', import.meta.url));

/** A compiled memcpy loop. */
export class MemcpyAnchor {
  readonly #folder: string;
  readonly #binary: string;

  private constructor(folder: string) {
    this.#folder = folder;
    this.#binary = join(folder, 'memcpy');
  }

  /** @returns `null` without a C compiler */
  static build(): MemcpyAnchor | null {
    const anchor = new MemcpyAnchor(mkdtempSync(join(tmpdir(), 'vdpalab-bench-')));
    const made = spawnSync('gcc', ['-O2', '-o', anchor.#binary, SOURCE]);
    if (made.status === 0) return anchor;
    anchor.remove();
    return null;
  }

  /** @returns nanoseconds to copy a frame of so many bytes */
  ns(length: number): number {
    const { stdout } = spawnSync(this.#binary, [`${length}`], { encoding: 'utf8' });
    return Number(stdout);
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true });
  }
}
