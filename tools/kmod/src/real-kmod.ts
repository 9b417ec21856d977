/** The host's kmod beside ours, over the same files; for tests. Nothing here loads a module. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { FakeSystem } from './fake-system.ts';
import type { ModuleTree } from './tree.ts';

const env = { PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`, LC_ALL: 'C' };

/** Whether the host has kmod 30, which ours is held against. */
export const present = /^kmod version 30\n/.test(spawnSync('kmod', ['--version'], { encoding: 'utf8', env }).stdout ?? '');
/** Whether it is an error when it is missing. */
export const required = process.env['VDPALAB_REQUIRE_REAL'] === '1';

/** What a run of a program did. */
export interface Outcome {
  readonly stdout: string;
  readonly stderr: string;
  readonly status: number;
}

/** An address is another one each time. */
const masked = (text: string): string => text.replace(/ctx=0x[0-9a-f]+/g, 'ctx=0x0');

/** Nothing that asks a kernel to load or to remove. */
const HARMLESS = [
  /^(depmod|modinfo|kmod)( |$)/, /^modprobe .*(-n|-D|-R|-c|--show\S+|--dump-\S+)( |$)/, /^(insmod|rmmod)( --?\w+)*$/, /^lsmod .+/,
];

/** A module tree on the host's disk and in a fake system. */
export class RealTree {
  readonly root: string;
  readonly sys: FakeSystem;
  /** What the disk holds by our hand. */
  readonly #written = new Map<string, string | Uint8Array>();

  constructor(tree: ModuleTree, release = '6.1.0-t') {
    this.root = mkdtempSync(join(tmpdir(), 'kmod-'));
    this.sys = new FakeSystem(tree, release, new Map(), this.root);
    this.sys.env = { PWD: this.root };
    this.sys.files.set('/proc/cmdline', readFileSync('/proc/cmdline', 'utf8'));
  }

  /** Make the disk's files those of the fake system. */
  write(): void {
    for (const path of this.#written.keys()) {
      if (this.sys.files.has(path)) continue;
      rmSync(path);
      this.#written.delete(path);
      for (let dir = dirname(path); dir !== this.root && readdirSync(dir).length === 0; dir = dirname(dir)) rmdirSync(dir);
    }
    for (const [path, contents] of this.sys.files) {
      if (!path.startsWith(`${this.root}/`) || this.#written.get(path) === contents) continue;
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, contents);
      this.#written.set(path, contents);
    }
  }

  /** Run the host's program. `@` stands for the tree's root. */
  real(line: string): Outcome {
    const [program = '', ...argv] = line.split(' ').map((word) => word.replaceAll('@', this.root));
    if (!HARMLESS.some((pattern) => pattern.test(line))) throw new Error(`${line}: not harmless`);
    // depmod 30 never ends on some cycles, and takes all memory.
    const { stdout, stderr, status } = spawnSync('sh', ['-c', 'ulimit -v 1000000; exec "$@"', 'sh', program, ...argv], {
      encoding: 'utf8', cwd: this.root, timeout: 10_000, env,
    });
    return { stdout, stderr: masked(stderr), status: status ?? -1 };
  }

  /** Run our program with the same words. */
  async ours(line: string): Promise<Outcome> {
    this.sys.stdout = '';
    this.sys.stderr = '';
    const status = await this.sys.shell(line.replaceAll('@', this.root));
    return { stdout: this.sys.stdout, stderr: masked(this.sys.stderr), status };
  }

  /** A file of the tree on the disk, below its directory. */
  onDisk(name: string): Buffer {
    return readFileSync(join(this.sys.dirname, name));
  }

  close(): void {
    rmSync(this.root, { recursive: true, force: true });
  }
}
