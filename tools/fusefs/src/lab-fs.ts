/** Requests of the mount, answered by the lab. What needs no sleep is answered at once; the rest runs as tasks of the caller's process. */
import { readFileSync, readlinkSync } from 'node:fs';
import type { DirNode, File, Node, Process } from '@vdpalab/fs';
import type { Lab, UserProcess } from '@vdpalab/lab';
import {
  ENOENT, ENOTDIR, FOPEN_DIRECT_IO, FOPEN_NONSEEKABLE, FOPEN_STREAM, FUSE_ACCESS, FUSE_BATCH_FORGET, FUSE_CREATE, FUSE_FORGET, FUSE_FSYNC, FUSE_GETATTR, FUSE_GETATTR_FH,
  FUSE_IOCTL, FUSE_LOOKUP, FUSE_LSEEK, FUSE_OPEN, FUSE_OPENDIR, FUSE_POLL, FUSE_READ, FUSE_READDIR, FUSE_READLINK, FUSE_RELEASE, FUSE_RELEASEDIR, FUSE_STATFS,
  FUSE_WRITE, O_CREAT, O_EXCL, R_OK, W_OK, X_OK, fuse_batch_forget_in, fuse_create_in, fuse_forget_one, fuse_write_in,
} from '@vdpalab/uapi';
import { Attributes } from './attributes.ts';
import type { DeviceNodes } from './attributes.ts';
import { Caller, fsCalls } from './calls.ts';
import type { FsCalls } from './calls.ts';
import type { HostProcess, HostProcesses } from './host-processes.ts';
import { Refusal } from './errno.ts';
import { Handle, Numbered } from './handles.ts';
import { nameHandlers } from './names.ts';
import { NodeTable } from './nodes.ts';
import { ioctl, poll } from './device-calls.ts';
import { follow, lseek, seekEnd } from './positions.ts';
import type { DirEntry, Replies } from './reply.ts';
import { at } from './request.ts';
import type { Arguments, FuseRequest } from './request.ts';
import type { FuseHandlers } from './session.ts';

/** How a lab's tree is shown. */
export interface LabFsOptions {
  /** As regular files when absent. */
  readonly devices?: DeviceNodes;
  /** Who calls; not closed here. */
  readonly processes: HostProcesses;
  /** Hears of faults. */
  readonly onBug: (text: string) => void;
}

/** Flags of open(2) that mean nothing behind the host's kernel: it has made the file already. */
const NOT_OURS = O_CREAT | O_EXCL;

/** Milliseconds that last closes have once the mount is gone. */
const LAST_CLOSE_MS = 5000;

/** The lab's tree as a file system. */
export class LabFs {
  readonly k: FsCalls;
  readonly nodes: NodeTable;
  readonly processes: HostProcesses;
  readonly caller: Caller;
  readonly handles = new Numbered<Handle>();
  /** Reads the tree for the host's kernel; owns no file. */
  readonly door: UserProcess;
  readonly #lab: Lab;
  readonly #attributes: Attributes;
  readonly #directories = new Numbered<{ readonly dir: DirNode; entries: readonly DirEntry[] | null }>();
  /** Files whose last close is under way, by node: whoever opens the node again comes after. */
  readonly #closing = new Map<Node, { readonly path: string; readonly ended: Promise<void> }>();
  readonly #onBug: (text: string) => void;

  private constructor(lab: Lab, door: UserProcess, options: LabFsOptions) {
    this.#lab = lab;
    this.door = door;
    this.#onBug = options.onBug;
    this.k = fsCalls(lab);
    this.nodes = new NodeTable(this.k.root_dir);
    this.processes = options.processes;
    this.processes.findFile = (client, fd) => this.#usedFileOf(client, fd);
    this.caller = new Caller(lab, this.k);
    this.#attributes = new Attributes(options.devices ?? 'file');
  }

  /** @param lab one on a paced clock */
  static async create(lab: Lab, options: LabFsOptions): Promise<LabFs> {
    return new LabFs(lab, await lab.process('fuse'), options);
  }

  /** What to do with each kind of request. */
  get handlers(): FuseHandlers {
    return {
      ...nameHandlers(this),
      [FUSE_LOOKUP]: (request, args, reply) => this.#lookup(request, args, reply),
      [FUSE_FORGET]: (request, args) => void this.nodes.forget(request.nodeid, args.u64(0)),
      [FUSE_BATCH_FORGET]: (_request, args) => {
        const { offsets, size } = fuse_forget_one;
        for (let i = 0, from = fuse_batch_forget_in.size; i < args.u32(0); i++, from += size) this.nodes.forget(args.u64(from + offsets.nodeid), args.u64(from + offsets.nlookup));
      },
      [FUSE_GETATTR]: (request, args, reply) => {
        const attr = (): void => reply.attr(request.unique, this.attr(this.nodes.get(request.nodeid)));
        if ((args.u32(at.getattr.getattr_flags) & FUSE_GETATTR_FH) === 0) return attr() as undefined;
        return seekEnd(this, request, this.handles.get(args.u64(at.getattr.fh)), attr);
      },
      [FUSE_READLINK]: (request, _args, reply) => {
        const { proc } = this.processes.of(request).process;
        reply.text(request.unique, this.k.vfs_get_link(this.nodes.get(request.nodeid), proc));
      },
      [FUSE_STATFS]: (request, _args, reply) => reply.statfs(request.unique) as undefined,
      [FUSE_OPENDIR]: (request, _args, reply) => {
        const dir = this.directory(request.nodeid);
        this.#check(request, dir, R_OK);
        reply.open(request.unique, this.#directories.add({ dir, entries: null }), 0);
      },
      [FUSE_READDIR]: (request, args, reply) => this.#readdir(request, args, reply),
      [FUSE_RELEASEDIR]: (request, args, reply) => {
        this.#directories.take(args.u64(at.release.fh));
        reply.error(request.unique, 0);
      },
      [FUSE_ACCESS]: (request, args, reply) => {
        this.#check(request, this.nodes.get(request.nodeid), args.u32(at.access.mask) & (R_OK | W_OK | X_OK));
        reply.error(request.unique, 0);
      },
      [FUSE_OPEN]: (request, args, reply) => this.#open(request, args.u32(at.open.flags) & ~NOT_OURS, reply),
      [FUSE_CREATE]: (request, args, reply) => this.#create(request, args, reply),
      [FUSE_READ]: (request, args, reply) => this.#read(request, args, reply),
      [FUSE_WRITE]: (request, args, reply) => this.#write(request, args, reply),
      [FUSE_FSYNC]: (request, args, reply) => {
        const handle = this.handles.get(args.u64(0));
        const client = this.processes.of(request);
        return this.#acknowledge(request, client, reply, (proc) => this.k.ksys_fsync(proc, handle.descriptor(client)));
      },
      [FUSE_RELEASE]: (request, args, reply) => this.#release(request, this.handles.take(args.u64(at.release.fh)), reply),
      [FUSE_IOCTL]: (request, args, reply) => ioctl(this, request, args, reply),
      [FUSE_LSEEK]: (request, args, reply) => lseek(this, request, args, reply),
      [FUSE_POLL]: (request, args, reply) => poll(this, request, args, reply),
    };
  }

  attr(node: Node): ReturnType<Attributes['of']> {
    return this.#attributes.of(node, this.k.vfs_getattr(node, this.door.proc));
  }

  /** DT_* of a directory's entry. */
  direntType(kind: Node['kind']): number {
    return this.#attributes.direntType(kind);
  }

  /** @throws Refusal ENOTDIR ENOENT */
  directory(id: number): DirNode {
    const node = this.nodes.get(id);
    if (node.kind !== 'dir') throw new Refusal(ENOTDIR);
    return node as DirNode; // its kind says so
  }

  /** A name in a directory. @throws Refusal ENOENT */
  child(dir: DirNode, name: string): Node {
    const node = dir.removed ? null : this.k.kernfs_find(dir, name);
    if (node === null) throw new Refusal(ENOENT);
    return node;
  }

  /** Let go of everything: the host's kernel has. A last close that does not end is told of, not waited for. */
  async close(): Promise<void> {
    try {
      for (const handle of this.handles.drain()) {
        this.release(handle).catch((error: unknown) => this.#onBug(`fuse: closing ${handle.file.path}: ${String(error)}`));
      }
      const ended = await Promise.race([
        Promise.all([...this.#closing.values()].map((closing) => closing.ended)).then(() => true),
        new Promise<boolean>((resolve) => setTimeout(() => resolve(false), LAST_CLOSE_MS).unref()),
      ]);
      if (!ended) for (const { path } of this.#closing.values()) this.#onBug(`fuse: the last close of ${path} does not end`);
      await this.#lab.exitProcess(this.door);
    } catch (error) {
      this.#onBug(`fuse: taking the mount down: ${error instanceof Error ? error.stack ?? error.message : String(error)}`);
    }
  }

  /**
   * The open file behind a client's descriptor. The host tells of it only the inode, so of a node that the client has open
   * more than once it is taken for the one opened last.
   *
   * @param accepts which are looked at
   */
  handleOf(client: HostProcess, fd: number, accepts: (handle: Handle) => boolean = () => true): Handle | null {
    const { ino, path } = describe(client.tgid, fd);
    let found: Handle | null = null;
    for (const handle of this.handles.all()) {
      const { node } = handle;
      if (node.ino === ino && node.parent !== null && path.endsWith(this.k.kernfs_path(node)) && accepts(handle)) found = handle;
    }
    return found;
  }

  /** Only what it has used: the number alone may mean another's. */
  #usedFileOf(client: HostProcess, fd: number): File | null {
    return this.handleOf(client, fd, (handle) => handle.isUsedBy(client))?.file ?? null;
  }

  /** Run something as a task of a client's process. */
  as<T>(client: HostProcess, body: (proc: Process) => Promise<T>): Promise<T> {
    return this.#lab.as(client.process, ({ proc }) => body(proc));
  }

  /** Run a call that gives nothing back. */
  #acknowledge(request: FuseRequest, client: HostProcess, reply: Replies, body: (proc: Process) => Promise<unknown>): Promise<void> {
    return this.caller.run(request, client, body).then(() => reply.error(request.unique, 0));
  }

  #lookup(request: FuseRequest, args: Arguments, reply: Replies): undefined {
    const dir = this.directory(request.nodeid);
    this.#check(request, dir, X_OK);
    const name = args.name(0);
    const node = dir.removed ? null : this.k.kernfs_find(dir, name);
    if (node === null) reply.error(request.unique, ENOENT); // far too frequent to throw
    else reply.entry(request.unique, this.nodes.take(node), this.attr(node));
  }

  /** The lab's word on access counts: the host's kernel does not ask its own. @throws EACCES */
  #check(request: FuseRequest, node: Node, mask: number): void {
    if ((node.mode & mask * 0o111) === mask * 0o111) return; // everybody may, which is the rule
    this.k.inode_permission(node, this.processes.of(request).process.proc, mask);
  }

  #readdir(request: FuseRequest, args: Arguments, reply: Replies): undefined {
    const listing = this.#directories.get(args.u64(at.read.fh));
    const first = args.u64(at.read.offset);
    if (listing.entries === null || first === 0) listing.entries = this.#list(listing.dir);
    reply.dirents(request.unique, listing.entries, first, args.u32(at.read.size));
  }

  #list(dir: DirNode): readonly DirEntry[] {
    const type = this.#attributes.direntType('dir');
    const dots = [{ name: '.', ino: dir.ino, type }, { name: '..', ino: (dir.parent ?? dir).ino, type }];
    if (dir.removed) return dots;
    return [...dots, ...this.k.iterate_dir(dir).map(({ name, node }) => ({ name, ino: node.ino, type: this.#attributes.direntType(node.kind) }))];
  }

  async #open(request: FuseRequest, flags: number, reply: Replies): Promise<void> {
    const node = this.nodes.get(request.nodeid);
    const client = this.processes.of(request);
    const before = this.#closing.get(node);
    if (before !== undefined) await before.ended;
    await this.caller.run(request, client, async (proc) => {
      const handle = new Handle(this.k, client, await this.k.dentry_open(proc, node, flags), node);
      reply.open(request.unique, this.handles.add(handle), openFlags(handle));
    });
  }

  #create(request: FuseRequest, args: Arguments, reply: Replies): Promise<void> {
    const dir = this.directory(request.nodeid);
    const name = args.name(fuse_create_in.size);
    const flags = args.u32(at.create.flags) | O_CREAT;
    const mode = args.u32(at.create.mode);
    const client = this.processes.of(request);
    return this.caller.run(request, client, async (proc) => {
      const fd = await this.k.ksys_open(proc, this.path(dir, name), flags, mode);
      const node = this.child(dir, name);
      const handle = new Handle(this.k, client, fd, node);
      reply.create(request.unique, this.nodes.take(node), this.attr(node), this.handles.add(handle), openFlags(handle));
    });
  }

  /** Path of a name in a directory. */
  path(dir: Node, name: string): string {
    return `${this.k.kernfs_path(dir)}/${name}`;
  }

  #read(request: FuseRequest, args: Arguments, reply: Replies): Promise<void> {
    const handle = this.handles.get(args.u64(at.read.fh));
    const offset = args.u64(at.read.offset);
    const size = args.u32(at.read.size);
    const client = this.processes.of(request);
    handle.setFlags(args.u32(at.read.flags));
    return this.caller.run(request, client, async (proc) => {
      const fd = handle.descriptor(client);
      await follow(this.k, proc, fd, handle, offset);
      const bytes = await this.k.ksys_pread(proc, fd, size, offset);
      handle.position = offset + bytes.length;
      reply.bytes(request.unique, bytes);
    });
  }

  #write(request: FuseRequest, args: Arguments, reply: Replies): Promise<void> {
    const handle = this.handles.get(args.u64(at.write.fh));
    const offset = args.u64(at.write.offset);
    const bytes = args.copy(fuse_write_in.size, args.u32(at.write.size));
    const client = this.processes.of(request);
    handle.setFlags(args.u32(at.write.flags));
    return this.caller.run(request, client, async (proc) => {
      const written = await this.k.ksys_pwrite(proc, handle.descriptor(client), bytes, offset);
      handle.position = offset + written;
      reply.written(request.unique, written);
    });
  }

  /** Nobody waits for the answer, so the next open of the node does. */
  #release(request: FuseRequest, handle: Handle, reply: Replies): Promise<void> {
    return this.release(handle).then(() => reply.error(request.unique, 0));
  }

  /** Close a file. */
  release(handle: Handle): Promise<void> {
    const { node } = handle;
    const before = this.#closing.get(node)?.ended;
    const done = this.#lab.as(this.door, () => handle.release());
    const ended: Promise<void> = Promise.all([before, done.catch(() => {})]).then(() => {
      if (this.#closing.get(node)?.ended === ended) this.#closing.delete(node);
    });
    this.#closing.set(node, { path: handle.file.path, ended });
    return done;
  }
}

/** FOPEN_*: no page of it is cached, and what has no positions is a stream. */
function openFlags({ file, node }: Handle): number {
  const isStream = node.kind === 'chr' && file.ops.llseek === undefined;
  return FOPEN_DIRECT_IO | (isStream ? FOPEN_STREAM | FOPEN_NONSEEKABLE : 0);
}

/** What is known of a descriptor without touching the file. */
function describe(pid: number, fd: number): { readonly ino: number; readonly path: string } {
  try {
    const ino = /^ino:\s*(\d+)$/m.exec(readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'latin1'))?.[1];
    return { ino: Number(ino ?? -1), path: readlinkSync(`/proc/${pid}/fd/${fd}`) };
  } catch {
    return { ino: -1, path: '' };
  }
}
