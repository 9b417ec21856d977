/** Making, renaming and removing names, and setting what they are like. */
import type { Node, Process } from '@vdpalab/fs';
import {
  EINVAL, EPERM, FATTR_GID, FATTR_MODE, FATTR_MTIME, FATTR_MTIME_NOW, FATTR_SIZE, FATTR_UID, FUSE_LINK, FUSE_MKDIR, FUSE_MKNOD, FUSE_RENAME,
  FUSE_RENAME2, FUSE_RMDIR, FUSE_SETATTR, FUSE_SYMLINK, FUSE_UNLINK, O_CREAT, O_EXCL, O_RDWR, O_TRUNC, O_WRONLY, S_IFCHR, S_IFDIR, S_IFLNK, S_IFMT, S_IFREG,
  fuse_mkdir_in, fuse_mknod_in, fuse_rename2_in, fuse_rename_in,
} from '@vdpalab/uapi';
import { Refusal } from './errno.ts';
import type { LabFs } from './lab-fs.ts';
import type { Replies } from './reply.ts';
import { at } from './request.ts';
import type { Arguments, FuseRequest } from './request.ts';
import type { FuseHandlers } from './session.ts';

/** What a name is made or removed with. */
type NameCall = (proc: Process, path: string) => Promise<void>;

/** Handlers of requests that change names and attributes. */
export function nameHandlers(fs: LabFs): FuseHandlers {
  const { k } = fs;

  /** Make a name, and answer with its node, which has to be of the type that was asked for. */
  function make(request: FuseRequest, name: string, type: number, reply: Replies, call: NameCall): Promise<void> {
    const dir = fs.directory(request.nodeid);
    return fs.caller.run(request, fs.processes.of(request), async (proc) => {
      await call(proc, fs.path(dir, name));
      const node = fs.child(dir, name);
      const attr = fs.attr(node);
      reply.entry(request.unique, fs.nodes.take(node), { ...attr, mode: (attr.mode & ~S_IFMT) | type });
    });
  }

  function remove(request: FuseRequest, args: Arguments, reply: Replies, call: NameCall): Promise<void> {
    const path = fs.path(fs.directory(request.nodeid), args.name(0));
    return fs.caller.run(request, fs.processes.of(request), async (proc) => {
      await call(proc, path);
      reply.error(request.unique, 0);
    });
  }

  function rename(request: FuseRequest, newdir: number, [from, to]: [string, string], reply: Replies): Promise<void> {
    const source = fs.path(fs.directory(request.nodeid), from);
    const target = fs.path(fs.directory(newdir), to);
    return fs.caller.run(request, fs.processes.of(request), async (proc) => {
      await k.ksys_rename(proc, source, target);
      reply.error(request.unique, 0);
    });
  }

  async function makeFile(proc: Process, path: string, mode: number): Promise<void> {
    await k.ksys_close(proc, await k.ksys_open(proc, path, O_CREAT | O_EXCL | O_WRONLY, mode & 0o7777));
  }

  return {
    [FUSE_MKDIR]: (request, args, reply) => {
      const mode = args.u32(at.mkdir.mode);
      return make(request, args.name(fuse_mkdir_in.size), S_IFDIR, reply, (proc, path) => k.ksys_mkdir(proc, path, mode & 0o7777));
    },
    [FUSE_MKNOD]: (request, args, reply) => {
      const mode = args.u32(at.mknod.mode);
      const rdev = args.u32(at.mknod.rdev);
      return make(request, args.name(fuse_mknod_in.size), mode & S_IFMT, reply, (proc, path) => {
        if ((mode & S_IFMT) === S_IFREG) return makeFile(proc, path, mode);
        if ((mode & S_IFMT) !== S_IFCHR) throw new Refusal(EPERM);
        return k.ksys_mknod(proc, path, mode & 0o7777, { major: (rdev >>> 8) & 0xfff, minor: (rdev & 0xff) | ((rdev >>> 12) & 0xfff00) });
      });
    },
    [FUSE_SYMLINK]: (request, args, reply) => {
      const [name, target] = args.names(0);
      return make(request, name, S_IFLNK, reply, (proc, path) => k.ksys_symlink(proc, target, path));
    },
    [FUSE_LINK]: () => {
      throw new Refusal(EPERM); // no file system of the lab has hard links
    },
    [FUSE_UNLINK]: (request, args, reply) => remove(request, args, reply, k.ksys_unlink),
    [FUSE_RMDIR]: (request, args, reply) => remove(request, args, reply, k.ksys_rmdir),
    [FUSE_RENAME]: (request, args, reply) => rename(request, args.u64(at.rename.newdir), args.names(fuse_rename_in.size), reply),
    [FUSE_RENAME2]: (request, args, reply) => {
      if (args.u32(at.rename2.flags) !== 0) throw new Refusal(EINVAL);
      return rename(request, args.u64(at.rename2.newdir), args.names(fuse_rename2_in.size), reply);
    },
    [FUSE_SETATTR]: (request, args, reply) => setattr(fs, request, args, reply),
  };
}

/** chmod, chown, utimes and truncate of a node, whichever are asked for. */
function setattr(fs: LabFs, request: FuseRequest, args: Arguments, reply: Replies): Promise<void> {
  const { k } = fs;
  const { setattr: field } = at;
  const node = fs.nodes.get(request.nodeid);
  const path = k.kernfs_path(node);
  const valid = args.u32(field.valid);
  const mode = args.u32(field.mode);
  const uid = (valid & FATTR_UID) === 0 ? -1 : args.u32(field.uid);
  const gid = (valid & FATTR_GID) === 0 ? -1 : args.u32(field.gid);
  const size = args.u64(field.size);
  const mtime = (valid & FATTR_MTIME_NOW) === 0 ? args.u64(field.mtime) : null;
  return fs.caller.run(request, fs.processes.of(request), async (proc) => {
    if ((valid & FATTR_SIZE) !== 0) await truncate(fs, proc, node, path, size);
    if (uid >= 0 || gid >= 0) await k.ksys_chown(proc, path, uid, gid, false);
    if ((valid & FATTR_MODE) !== 0) await k.ksys_chmod(proc, path, mode & 0o7777);
    if ((valid & FATTR_MTIME) !== 0) await k.ksys_utimes(proc, path, mtime, false);
    reply.attr(request.unique, fs.attr(node));
  });
}

/** truncate(2): files that the kernel makes the text of take any length and keep their own. */
async function truncate(fs: LabFs, proc: Process, node: Node, path: string, size: number): Promise<void> {
  if (node.kind !== 'file' || /^\/(sys|proc)\//.test(path)) return;
  const { k } = fs;
  const fd = await k.dentry_open(proc, node, O_RDWR);
  try {
    const kept = await k.ksys_pread(proc, fd, size, 0);
    await k.ksys_close(proc, await k.dentry_open(proc, node, O_WRONLY | O_TRUNC));
    if (kept.length > 0) await k.ksys_pwrite(proc, fd, kept, 0);
    if (kept.length < size) await k.ksys_pwrite(proc, fd, new Uint8Array(1), size - 1);
  } finally {
    await k.ksys_close(proc, fd);
  }
}
