/**
 * Attribute files of one object, and who is inside their show and store.
 *
 * Linux's removal of an attribute waits for the operations that run in it (`fs/kernfs/dir.c kernfs_drain`, Linux 6.1);
 * without that, a driver could go while a write to its `bind` file is probing. Not modelled: an operation that removes
 * its own file and waits for itself for ever; such a task is not waited for here.
 */
import { KernelError } from '@vdpalab/abi';
import type { Task } from '@vdpalab/abi';
import type { AttributeOps, BinAttributeOps, DirNode, Node, Process } from '@vdpalab/fs';
import type { VmArea } from '@vdpalab/mm';
import type { WaitQueue } from '@vdpalab/sched';
import type { Attribute, AttributeGroup, BinAttribute } from './header.ts';
import type { Kernel } from './kernel.ts';

/** A file, and who is inside it. */
export class ActiveFile {
  node: Node | null = null;
  readonly users = new Set<Task>();
}

/** The files of one owner: a device, a driver, a bus, a class, a module. */
export class SysfsFiles {
  readonly #k: Kernel;
  readonly #owner: string;
  readonly #wq: WaitQueue;
  readonly #files = new Set<ActiveFile>();
  readonly #leaving = new Set<ActiveFile>();

  constructor(k: Kernel, owner: string) {
    this.#k = k;
    this.#owner = owner;
    this.#wq = k.init_waitqueue_head(`attributes of ${owner}`);
  }

  /** An attribute file. @throws EEXIST */
  file(dir: DirNode, name: string, mode: number, ops: AttributeOps): ActiveFile {
    const file = new ActiveFile();
    const { show, store, size } = ops;
    file.node = this.#k.kernfs_create_file(dir, name, mode, {
      ...(show === undefined ? {} : { show: () => this.#inside(name, file, show) }),
      ...(store === undefined ? {} : { store: (text: string) => this.#inside(name, file, () => store(text)) }),
      ...(size === undefined ? {} : { size }),
    });
    this.#files.add(file);
    return file;
  }

  /** A binary attribute file. @throws EEXIST */
  bin(dir: DirNode, name: string, mode: number, ops: BinAttributeOps): ActiveFile {
    const file = new ActiveFile();
    const { read, write, mmap, size } = ops;
    file.node = this.#k.kernfs_create_bin_file(dir, name, mode, {
      ...(read === undefined ? {} : { read: (pos: number, len: number) => this.#inside(name, file, () => read(pos, len)) }),
      ...(write === undefined ? {} : {
        write: (pos: number, bytes: Uint8Array) => this.#inside(name, file, () => write(pos, bytes)),
      }),
      ...(mmap === undefined ? {} : {
        mmap: (area: VmArea, proc: Process) => this.#inside(name, file, () => mmap(area, proc)),
      }),
      size,
    });
    this.#files.add(file);
    return file;
  }

  /** One declared attribute, unless it is invisible. @throws EEXIST */
  attribute<T>(dir: DirNode, attr: Attribute<T>, of: T): ActiveFile | null {
    if (attr.is_visible?.(of) === false) return null;
    const { show, store } = attr;
    return this.file(dir, attr.name, attr.mode, {
      ...(show === undefined ? {} : { show: () => show(of) }),
      ...(store === undefined ? {} : { store: (text: string) => store(of, text) }),
    });
  }

  /**
   * Groups of attributes; a named one gets a directory. What fails leaves nothing behind.
   *
   * @returns takes them away again
   * @throws EEXIST
   */
  groups<T>(dir: DirNode, groups: readonly AttributeGroup<T>[] | undefined, of: T): () => void {
    const made: (() => void)[] = [];
    const undo = (): void => {
      for (const remove of made.splice(0).toReversed()) remove();
    };
    try {
      for (const group of groups ?? []) {
        const into = group.name === undefined ? dir : this.#k.kernfs_create_dir(dir, group.name);
        if (into !== dir) made.push(() => this.#k.kernfs_remove(into));
        for (const attr of group.attrs ?? []) this.#made(made, this.attribute(into, attr, of));
        for (const attr of group.bin_attrs ?? []) this.#made(made, this.#binAttribute(into, attr, of));
      }
    } catch (error) {
      undo();
      throw error;
    }
    return undo;
  }

  /** Take a file away; operations that run in it go on, see {@link drain}. */
  remove(file: ActiveFile): void {
    if (!this.#files.delete(file) || file.node === null) return;
    this.#k.kernfs_remove(file.node);
    if (file.users.size > 0) this.#leaving.add(file);
  }

  /** Take away the file of that name in a directory. @returns whether there was one */
  removeByName(dir: DirNode, name: string): boolean {
    const file = [...this.#files].find((f) => f.node?.name === name && f.node.parent === dir);
    if (file === undefined) return false;
    this.remove(file);
    return true;
  }

  removeAll(): void {
    for (const file of [...this.#files]) this.remove(file);
  }

  /** Wait until nobody else is inside a file that was taken away. */
  async drain(): Promise<void> {
    if (this.#leaving.size === 0) return;
    const self = this.#k.current_task();
    const others = (): Task[] => [...this.#leaving].flatMap((f) => [...f.users]).filter((task) => task !== self);
    await this.#k.wait_event(this.#wq, () => others().length === 0, `end of operations in the ${this.#wq.name}`, others, 'kernfs_drain');
  }

  #made(made: (() => void)[], file: ActiveFile | null): void {
    if (file !== null) made.push(() => this.remove(file));
  }

  #binAttribute<T>(dir: DirNode, attr: BinAttribute<T>, of: T): ActiveFile | null {
    if (attr.is_visible?.(of) === false) return null;
    const { read, write, mmap } = attr;
    return this.bin(dir, attr.name, attr.mode, {
      ...(read === undefined ? {} : { read: (pos: number, len: number) => read(of, pos, len) }),
      ...(write === undefined ? {} : { write: (pos: number, bytes: Uint8Array) => write(of, pos, bytes) }),
      ...(mmap === undefined ? {} : { mmap: (area: VmArea, proc: Process) => mmap(of, area, proc) }),
      size: attr.size(of),
    });
  }

  async #inside<R>(name: string, file: ActiveFile, body: () => Promise<R>): Promise<R> {
    if (!this.#files.has(file)) throw new KernelError('ENODEV', 'sysfs.active.removed', `${this.#owner}: ${name} is gone`);
    const task = this.#k.current_task();
    file.users.add(task);
    try {
      return await body();
    } finally {
      file.users.delete(task);
      if (this.#leaving.has(file)) {
        if (file.users.size === 0) this.#leaving.delete(file);
        this.#k.wake_up(this.#wq);
      }
    }
  }
}
