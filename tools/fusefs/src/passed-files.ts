/**
 * Files that the lab has opened for a process of the host by a call that returns a descriptor, which no answer over the
 * mount can be. Each gets a name in the mount's root that nobody lists and that can be opened once; whoever opens it hands
 * the descriptor on.
 */
import { randomUUID } from 'node:crypto';
import type { Node } from '@vdpalab/fs';
import {
  EPERM, FOPEN_DIRECT_IO, FUSE_ACCESS, FUSE_BATCH_FORGET, FUSE_FORGET, FUSE_GETATTR, FUSE_LOOKUP, FUSE_OPEN, FUSE_ROOT_ID, FUSE_SETATTR, S_IFREG, fuse_batch_forget_in,
  fuse_forget_one,
} from '@vdpalab/uapi';
import { Handle } from './handles.ts';
import type { LabFs } from './lab-fs.ts';
import type { HostProcess } from './host-processes.ts';
import type { FuseHandlers } from './session.ts';

/** Numbers of nodes that nobody else gives. */
const OURS = 2 ** 41;

interface Passed {
  readonly id: number;
  /** `null` once it was opened. */
  handle: Handle | null;
  lookups: number;
}

/** The files of one mount. */
export class PassedFiles {
  readonly #fs: LabFs;
  readonly #byName = new Map<string, Passed>();
  readonly #byId = new Map<number, Passed>();
  #last = OURS;

  constructor(fs: LabFs) {
    this.#fs = fs;
  }

  /**
   * Do an ioctl whose result is a descriptor.
   *
   * @param client whose call it is
   * @param arg a number, or an address of the caller's
   * @returns the new file's name in the mount's root; `null` when `fd` is no file of the mount
   * @throws KernelError what the ioctl throws
   */
  async ioctl(client: HostProcess, fd: number, cmd: number, arg: number): Promise<string | null> {
    const fs = this.#fs;
    const file = fs.handleOf(client, fd);
    if (file === null) return null;
    const passed = await fs.as(client, async (proc): Promise<Passed> => {
      const given = await fs.k.ksys_ioctl(proc, file.descriptor(client), cmd, arg);
      const id = ++this.#last;
      const node: Node = { name: '', kind: 'file', mode: 0o600, parent: null, ino: id, removed: true };
      return { id, handle: new Handle(fs.k, client, given, node), lookups: 0 };
    });
    const name = `.${randomUUID()}`;
    this.#byName.set(name, passed);
    this.#byId.set(passed.id, passed);
    return name;
  }

  /** Close a file that nobody has opened; one that was is its opener's. */
  async drop(name: string): Promise<void> {
    const passed = this.#byName.get(name);
    if (passed === undefined) return;
    this.#byName.delete(name);
    const { handle } = passed;
    passed.handle = null;
    if (passed.lookups === 0) this.#byId.delete(passed.id);
    if (handle !== null) await this.#fs.release(handle);
  }

  async close(): Promise<void> {
    for (const name of this.#byName.keys()) await this.drop(name);
  }

  /** Handlers that know the files besides what `inner` knows. */
  wrap(inner: FuseHandlers): FuseHandlers {
    return {
      ...inner,
      [FUSE_LOOKUP]: (request, args, reply) => {
        const passed = request.nodeid === FUSE_ROOT_ID ? this.#byName.get(args.name(0)) : undefined;
        if (passed === undefined) return inner[FUSE_LOOKUP]?.(request, args, reply);
        passed.lookups++;
        return reply.entry(request.unique, passed.id, attr(passed)) as undefined;
      },
      [FUSE_OPEN]: (request, args, reply) => {
        const passed = this.#byId.get(request.nodeid);
        if (passed === undefined) return inner[FUSE_OPEN]?.(request, args, reply);
        const { handle } = passed;
        if (handle === null) return reply.error(request.unique, EPERM) as undefined;
        passed.handle = null;
        for (const [name, other] of this.#byName) if (other === passed) this.#byName.delete(name);
        return reply.open(request.unique, this.#fs.handles.add(handle), FOPEN_DIRECT_IO) as undefined;
      },
      [FUSE_GETATTR]: (request, args, reply) => {
        const passed = this.#byId.get(request.nodeid);
        return passed === undefined ? inner[FUSE_GETATTR]?.(request, args, reply) : reply.attr(request.unique, attr(passed)) as undefined;
      },
      [FUSE_SETATTR]: (request, args, reply) => (this.#byId.has(request.nodeid) ? reply.error(request.unique, EPERM) as undefined : inner[FUSE_SETATTR]?.(request, args, reply)),
      [FUSE_ACCESS]: (request, args, reply) => (this.#byId.has(request.nodeid) ? reply.error(request.unique, 0) as undefined : inner[FUSE_ACCESS]?.(request, args, reply)),
      [FUSE_FORGET]: (request, args, reply) => {
        this.#forget(request.nodeid, args.u64(0));
        return inner[FUSE_FORGET]?.(request, args, reply);
      },
      [FUSE_BATCH_FORGET]: (request, args, reply) => {
        const { offsets, size } = fuse_forget_one;
        for (let i = 0, from = fuse_batch_forget_in.size; i < args.u32(0); i++, from += size) this.#forget(args.u64(from + offsets.nodeid), args.u64(from + offsets.nlookup));
        return inner[FUSE_BATCH_FORGET]?.(request, args, reply);
      },
    };
  }

  #forget(id: number, count: number): void {
    const passed = this.#byId.get(id);
    if (passed === undefined) return;
    passed.lookups -= count;
    if (passed.lookups <= 0 && passed.handle === null) this.#byId.delete(id);
  }
}

const attr = ({ id }: Passed) => ({ ino: id, size: 0, nlink: 0, mode: S_IFREG | 0o600, uid: 0, gid: 0, rdev: 0, mtime: 0 });
