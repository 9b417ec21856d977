/** Open files and descriptors. Mirrors `fs/file.c`, `fs/file_table.c` and `fs/anon_inodes.c` (Linux 6.1). */
import type { Atomic, KernelSymbols, KModule } from '@vdpalab/abi';
import {
  O_ACCMODE, O_CREAT, O_EXCL, O_NOCTTY, O_RDWR, O_TRUNC, O_WRONLY, RLIMIT_NOFILE,
} from '@vdpalab/uapi';
import { fail } from './fail.ts';
import type { File, FileOperations, Process } from './header.ts';
import { processImpl } from './process.ts';
import type { ProcessImpl } from './process.ts';
import type { TreeNode } from './tree.ts';

/** How a file treats its position: by offset, or as a stream that cannot be read at one. */
export type Positioning = 'offset' | 'stream';

/** What a new open file is. */
export interface OpenFileInit {
  readonly path: string;
  readonly flags: number;
  readonly ops: FileOperations;
  readonly private_data: unknown;
  readonly node?: TreeNode;
  readonly positioning?: Positioning;
  readonly socket?: boolean;
  /** Modules whose references the file holds, to be put at its end. */
  readonly holds: readonly (KModule | null)[];
}

/** `struct file` */
export class OpenFile implements File {
  readonly path: string;
  flags: number;
  pos = 0;
  readonly ops: FileOperations;
  private_data: unknown;
  readonly node: TreeNode | null;
  count = 1;
  readonly stream: boolean;
  readonly socket: boolean;
  readonly holds: readonly (KModule | null)[];
  /** Who opened it, for leak reports. */
  readonly opener: string;

  constructor(init: OpenFileInit, opener: string) {
    this.path = init.path;
    this.flags = init.flags & ~(O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC);
    this.ops = init.ops;
    this.private_data = init.private_data;
    this.node = init.node ?? null;
    this.stream = init.positioning === 'stream';
    this.socket = init.socket ?? false;
    this.holds = init.holds;
    this.opener = opener;
  }

  get readable(): boolean {
    return (this.flags & O_ACCMODE) === 0 || (this.flags & O_ACCMODE) === O_RDWR;
  }

  get writable(): boolean {
    const access = this.flags & O_ACCMODE;
    return access === O_WRONLY || access === O_RDWR;
  }
}

/** Open files of one kernel. */
export interface OpenFiles {
  /** Make an open file with one reference. */
  readonly create: (init: OpenFileInit, proc: Process) => OpenFile;
  /** `try_module_get` for each; all or none. @returns whether they were taken */
  readonly hold: (modules: readonly (KModule | null)[]) => boolean;
  readonly unhold: (modules: readonly (KModule | null)[]) => void;
  /** Reserve the lowest free descriptor. @throws EMFILE at RLIMIT_NOFILE */
  readonly reserve: (proc: ProcessImpl) => number;
  /** Give a reserved descriptor back. */
  readonly unreserve: (proc: ProcessImpl, fd: number) => void;
  /** Put a file behind a reserved descriptor. @throws ESRCH when the process exited meanwhile; the file is put then */
  readonly install: (proc: ProcessImpl, fd: number, file: OpenFile) => Promise<number>;
  /** The same where nothing was awaited since the descriptor was reserved. */
  readonly installNow: (proc: ProcessImpl, fd: number, file: OpenFile) => number;
  /** Forget a file whose open failed: nothing is released. */
  readonly abandon: (file: OpenFile) => void;
  /** The file of a descriptor, without a reference. @throws EBADF */
  readonly peek: (proc: Process, fd: number) => OpenFile;
  /** Use the file of a descriptor, which stays open meanwhile. @throws EBADF */
  readonly using: <T>(proc: Process, fd: number, body: (file: OpenFile) => Promise<T>) => Promise<T>;
  readonly fget: (proc: Process, fd: number) => OpenFile;
  readonly fput: (file: File) => Promise<void>;
  readonly get_file: (file: File) => Atomic;
  readonly receive_fd: (proc: Process, file: File) => number;
  readonly all: () => readonly OpenFile[];
}

/** The file of this kernel behind a {@link File}. */
export function openFile(file: File): OpenFile {
  if (file instanceof OpenFile) return file;
  throw new Error(`file ${file.path} is not of this kernel`);
}

/** Make the open files of one kernel. */
export function createOpenFiles(k: Pick<KernelSymbols, 'try_module_get' | 'module_put'>): OpenFiles {
  const open = new Set<OpenFile>();

  function unhold(modules: readonly (KModule | null)[]): void {
    for (const module of modules) k.module_put(module);
  }

  function hold(modules: readonly (KModule | null)[]): boolean {
    const taken: (KModule | null)[] = [];
    for (const module of modules) {
      if (!k.try_module_get(module)) {
        unhold(taken);
        return false;
      }
      taken.push(module);
    }
    return true;
  }

  async function release(file: OpenFile): Promise<void> {
    try {
      await file.ops.release?.(file);
    } finally {
      open.delete(file);
      unhold(file.holds);
    }
  }

  async function fput(given: File): Promise<void> {
    const file = openFile(given);
    if (file.count <= 0) throw new Error(`fput of ${file.path}: nobody holds it`);
    if (--file.count === 0) await release(file);
  }

  function peek(proc: Process, fd: number): OpenFile {
    const file = proc.files.get(fd);
    if (file === undefined) throw fail('EBADF', 'file.descriptor', `process ${proc.pid}: descriptor ${fd} is not open`);
    return openFile(file);
  }

  function installNow(proc: ProcessImpl, fd: number, file: OpenFile): number {
    proc.reserved.delete(fd);
    proc.files.set(fd, file);
    return fd;
  }

  function reserve(proc: ProcessImpl): number {
    if (proc.exited) throw fail('ESRCH', 'process.exited', `process ${proc.pid} has exited`);
    const limit = proc.rlimits.get(RLIMIT_NOFILE) ?? Infinity;
    let fd = 0;
    while (proc.files.has(fd) || proc.reserved.has(fd)) fd++;
    if (fd >= limit) throw fail('EMFILE', 'file.limit', `process ${proc.pid}: descriptor ${fd}, RLIMIT_NOFILE ${limit}`);
    proc.reserved.add(fd);
    return fd;
  }

  function get_file(given: File): Atomic {
    const file = openFile(given);
    if (file.count <= 0) throw new Error(`get_file of ${file.path}: nobody holds it`);
    file.count++;
  }

  return {
    create: (init, proc) => {
      const file = new OpenFile(init, `process ${proc.pid} (${proc.comm})`);
      open.add(file);
      return file;
    },
    hold,
    unhold,
    reserve,
    unreserve: (proc, fd) => {
      proc.reserved.delete(fd);
    },
    install: async (proc, fd, file) => {
      if (!proc.exited) return installNow(proc, fd, file);
      await fput(file);
      throw fail('ESRCH', 'process.exited', `process ${proc.pid} has exited`);
    },
    installNow,
    abandon: (file) => {
      file.count = 0;
      open.delete(file);
      unhold(file.holds);
    },
    peek,
    using: async (proc, fd, body) => {
      const file = peek(proc, fd);
      file.count++;
      try {
        return await body(file);
      } finally {
        if (--file.count === 0) await release(file);
      }
    },
    fget: (proc, fd) => {
      const file = peek(proc, fd);
      file.count++;
      return file;
    },
    fput,
    get_file,
    receive_fd: (given, file) => {
      const proc = processImpl(given);
      const fd = reserve(proc);
      get_file(file);
      return installNow(proc, fd, openFile(file));
    },
    all: () => [...open],
  };
}
