/**
 * Names of the host in directories of the lab: `/dev` and `/proc` are both at once.
 *
 * In such a directory some names are the lab's, where it has them, and every other name is a symbolic link into `.host`, an
 * empty directory that the keeper mounts the host's own over. So devices that appear later are seen, and the host's
 * /dev/null and /proc/self are what they were. Block devices of the host are not shown: the lab's own are called
 * vda too, and who writes to one that is not there yet must not meet a disk.
 */
import { lstatSync, readdirSync } from 'node:fs';
import type { Node } from '@vdpalab/fs';
import type { FuseHandlers, LabFs } from '@vdpalab/fusefs';
import {
  EPERM, FUSE_ACCESS, FUSE_BATCH_FORGET, FUSE_FORGET, FUSE_GETATTR, FUSE_LOOKUP, FUSE_OPENDIR, FUSE_READDIR, FUSE_READLINK, FUSE_RELEASEDIR, FUSE_SETATTR, S_IFDIR, S_IFLNK,
  fuse_batch_forget_in, fuse_forget_one, fuse_read_in, fuse_release_in,
} from '@vdpalab/uapi';

/** A directory that is both. */
export interface SharedDirectory {
  /** Absolute, the same on both sides. */
  readonly path: string;
  /** Whether a name is the lab's, where the lab has it. */
  readonly isLabs: (name: string) => boolean;
  /** Names that neither side has: what they link to. */
  readonly links?: ReadonlyMap<string, string>;
  /** Where links lead; absent: nowhere, and the host's names are not shown. */
  readonly host?: string;
  /** Whether the host's names are found, and not listed. */
  readonly unlisted?: boolean;
}

/** Name of the directory that the host's own is mounted over, in the uppermost shared one. */
export const HOST_DIR = '.host';

/** Numbers of nodes and handles that the lab's side never gives. */
const OURS = 2 ** 40;

/** A link, or the empty directory. */
interface HostNode {
  readonly id: number;
  /** `null`: the empty directory. */
  readonly target: string | null;
  lookups: number;
}

type Entries = Parameters<Parameters<NonNullable<FuseHandlers[number]>>[2]['dirents']>[1];

/** A lab's handlers, with the host's names in some directories. */
export function withHostNames(fs: LabFs, shared: readonly SharedDirectory[]): FuseHandlers {
  const inner = fs.handlers;
  const byKey = new Map<string, HostNode>();
  const byId = new Map<number, HostNode>();
  const listings = new Map<number, Entries>();
  const byNode = new Map<Node, SharedDirectory>();
  let lastId = OURS;
  let lastHandle = OURS;

  /** The shared directory of a node; a directory that is removed and made again is found anew. */
  function sharedOf(nodeid: number): SharedDirectory | undefined {
    if (nodeid > OURS) return undefined;
    const node = fs.nodes.get(nodeid);
    if (node.kind !== 'dir') return undefined;
    const known = byNode.get(node);
    if (known !== undefined) return known;
    const path = fs.k.kernfs_path(node);
    const found = shared.find((dir) => dir.path === path);
    if (found !== undefined) byNode.set(node, found);
    return found;
  }

  function take(key: string, target: string | null): HostNode {
    let node = byKey.get(key);
    if (node === undefined || node.target !== target) {
      node = { id: ++lastId, target, lookups: 0 };
      byKey.set(key, node);
      byId.set(node.id, node);
    }
    node.lookups++;
    return node;
  }

  function forget(id: number, count: number): void {
    const node = byId.get(id);
    if (node === undefined) return;
    node.lookups -= count;
    if (node.lookups > 0 || node.target === null) return; // what is mounted on keeps its number
    byId.delete(id);
    for (const [key, other] of byKey) if (other === node) byKey.delete(key);
  }

  function has(dir: SharedDirectory, nodeid: number, name: string): boolean {
    return dir.isLabs(name) && fs.k.kernfs_find(fs.directory(nodeid), name) !== null;
  }

  const attr = ({ id, target }: HostNode) => ({
    ino: id, size: target?.length ?? 0, nlink: target === null ? 2 : 1, mode: target === null ? S_IFDIR | 0o755 : S_IFLNK | 0o777, uid: 0, gid: 0, rdev: 0, mtime: 0,
  });

  /** What a name of the host, or one of neither side, leads to; `undefined` when there is none. */
  function targetOf(dir: SharedDirectory, name: string): string | null | undefined {
    const link = dir.links?.get(name);
    if (link !== undefined) return link;
    if (dir.host === undefined) return undefined;
    if (name === HOST_DIR && dir.host === HOST_DIR) return null;
    return hostHas(`${dir.path}/${name}`) ? `${dir.host}/${name}` : undefined;
  }

  function list(dir: SharedDirectory, node: Node): Entries {
    const dots = [{ name: '.', ino: node.ino, type: S_IFDIR >> 12 }, { name: '..', ino: (node.parent ?? node).ino, type: S_IFDIR >> 12 }];
    const labs = fs.k.iterate_dir(node as Parameters<typeof fs.k.iterate_dir>[0]).filter(({ name }) => dir.isLabs(name)) // sharedOf found a directory
      .map(({ name, node: { ino, kind } }) => ({ name, ino, type: fs.direntType(kind) }));
    const names = new Set(labs.map(({ name }) => name));
    const others = [...(dir.links?.keys() ?? []), ...(dir.host === undefined || dir.unlisted === true ? [] : hostNames(dir.path))].filter((name) => !names.has(name));
    return [...dots, ...labs, ...others.map((name) => ({ name, ino: OURS, type: S_IFLNK >> 12 }))];
  }

  return {
    ...inner,
    [FUSE_LOOKUP]: (request, args, reply) => {
      const dir = sharedOf(request.nodeid);
      const name = dir === undefined ? '' : args.name(0);
      if (dir === undefined || has(dir, request.nodeid, name)) return inner[FUSE_LOOKUP]?.(request, args, reply);
      const target = targetOf(dir, name);
      if (target === undefined) return inner[FUSE_LOOKUP]?.(request, args, reply);
      const node = take(`${dir.path}/${name}`, target);
      return reply.entry(request.unique, node.id, attr(node)) as undefined;
    },
    [FUSE_GETATTR]: (request, args, reply) => {
      const node = byId.get(request.nodeid);
      return node === undefined ? inner[FUSE_GETATTR]?.(request, args, reply) : reply.attr(request.unique, attr(node)) as undefined;
    },
    [FUSE_ACCESS]: (request, args, reply) => {
      if (byId.has(request.nodeid)) return reply.error(request.unique, 0) as undefined; // the host's own files have their own say
      return inner[FUSE_ACCESS]?.(request, args, reply);
    },
    [FUSE_SETATTR]: (request, args, reply) => {
      if (byId.has(request.nodeid)) return reply.error(request.unique, EPERM) as undefined;
      return inner[FUSE_SETATTR]?.(request, args, reply);
    },
    [FUSE_READLINK]: (request, args, reply) => {
      const target = byId.get(request.nodeid)?.target;
      return target === undefined || target === null ? inner[FUSE_READLINK]?.(request, args, reply) : reply.text(request.unique, target) as undefined;
    },
    [FUSE_OPENDIR]: (request, args, reply) => {
      const dir = sharedOf(request.nodeid);
      if (dir === undefined && request.nodeid <= OURS) return inner[FUSE_OPENDIR]?.(request, args, reply);
      const handle = ++lastHandle;
      listings.set(handle, dir === undefined ? [] : list(dir, fs.nodes.get(request.nodeid)));
      return reply.open(request.unique, handle, 0) as undefined;
    },
    [FUSE_READDIR]: (request, args, reply) => {
      const handle = args.u64(fuse_read_in.offsets.fh);
      const listing = listings.get(handle);
      if (listing === undefined) return inner[FUSE_READDIR]?.(request, args, reply);
      const dir = sharedOf(request.nodeid);
      const first = args.u64(fuse_read_in.offsets.offset);
      const entries = first === 0 && dir !== undefined ? list(dir, fs.nodes.get(request.nodeid)) : listing;
      listings.set(handle, entries);
      return reply.dirents(request.unique, entries, first, args.u32(fuse_read_in.offsets.size)) as undefined;
    },
    [FUSE_RELEASEDIR]: (request, args, reply) => {
      if (!listings.delete(args.u64(fuse_release_in.offsets.fh))) return inner[FUSE_RELEASEDIR]?.(request, args, reply);
      return reply.error(request.unique, 0) as undefined;
    },
    [FUSE_FORGET]: (request, args, reply) => {
      forget(request.nodeid, args.u64(0));
      return inner[FUSE_FORGET]?.(request, args, reply);
    },
    [FUSE_BATCH_FORGET]: (request, args, reply) => {
      const { offsets, size } = fuse_forget_one;
      for (let i = 0, from = fuse_batch_forget_in.size; i < args.u32(0); i++, from += size) forget(args.u64(from + offsets.nodeid), args.u64(from + offsets.nlookup));
      return inner[FUSE_BATCH_FORGET]?.(request, args, reply);
    },
  };
}

/** Whether the host has a name in a directory of the kernel's own, which answers at once. */
function hostHas(path: string): boolean {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  return stat !== undefined && !stat.isBlockDevice();
}

function hostNames(path: string): string[] {
  try {
    return readdirSync(path, { withFileTypes: true }).filter((entry) => !entry.isBlockDevice()).map(({ name }) => name);
  } catch {
    return []; // the host has no such directory
  }
}
