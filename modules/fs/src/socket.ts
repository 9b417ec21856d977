/** Sockets: the families are modules'. Mirrors `net/socket.c` (Linux 6.1). */
import type { Atomic } from '@vdpalab/abi';
import { MSG_DONTWAIT, O_NONBLOCK, O_RDWR, SOCK_CLOEXEC, SOCK_NONBLOCK } from '@vdpalab/uapi';
import { fail } from './fail.ts';
import type { File, FileOperations, FsSymbols, Process, SocketFamily } from './header.ts';
import type { OpenFile, OpenFiles } from './open-file.ts';
import { processImpl } from './process.ts';

/** One past the largest family: AF_MAX. */
const NPROTO = 46;
/** One past the largest type. */
const SOCK_MAX = 11;
const SOCK_TYPE_MASK = 0xf;

type SocketSymbols = Pick<FsSymbols,
  | 'ksys_socket' | 'ksys_bind' | 'ksys_sendmsg' | 'ksys_recvmsg' | 'ksys_getsockname' | 'ksys_setsockopt'
  | 'sock_register' | 'sock_unregister'>;

/** Sockets of one kernel. */
export interface Sockets {
  readonly symbols: SocketSymbols;
  readonly leftovers: () => readonly string[];
}

/** A descriptor that does not wait makes each receive one that does not. */
function waitFlags(file: File): number {
  return (file.flags & O_NONBLOCK) === 0 ? 0 : MSG_DONTWAIT;
}

/** Read and write of a socket are its recvmsg and sendmsg. */
function withStreamOps(ops: FileOperations): FileOperations {
  const { sendmsg, recvmsg } = ops;
  return {
    ...ops,
    ...(ops.read === undefined && recvmsg !== undefined
      ? { read: async (file, len, _pos, proc) => (await recvmsg(file, len, proc, waitFlags(file))).bytes } : {}),
    ...(ops.write === undefined && sendmsg !== undefined
      ? { write: (file, bytes, _pos, proc) => sendmsg(file, bytes, null, proc) } : {}),
  } satisfies FileOperations;
}

/** Make the sockets of one kernel. */
export function createSockets(files: OpenFiles): Sockets {
  const families = new Map<number, SocketFamily>();
  let lastId = 0;

  async function create(proc: Process, family: number, type: number, protocol: number, flags: number): Promise<OpenFile> {
    const served = families.get(family);
    if (served === undefined) throw fail('EAFNOSUPPORT', 'socket.family', `address family ${family}: no module serves it`);
    if (!files.hold([served.owner])) throw fail('EAFNOSUPPORT', 'socket.going', `address family ${family}: its module is going`);
    try {
      const { ops, private_data } = await served.create(type, protocol, proc);
      return files.create({
        path: `socket:[${++lastId}]`, flags, ops: withStreamOps(ops), private_data, positioning: 'stream', socket: true,
        holds: [served.owner],
      }, proc);
    } catch (error) {
      files.unhold([served.owner]);
      throw error;
    }
  }

  /** Use a descriptor as a socket. @throws EBADF ENOTSOCK */
  function socket<T>(proc: Process, fd: number, body: (file: OpenFile) => Promise<T>): Promise<T> {
    return files.using(proc, fd, async (file) => {
      if (!file.socket) throw fail('ENOTSOCK', 'socket.kind', `descriptor ${fd}: ${file.path} is no socket`);
      return body(file);
    });
  }

  function unsupported(file: OpenFile, what: string) {
    return fail('EOPNOTSUPP', 'socket.no-op', `${file.path} does not support ${what}`);
  }

  return {
    leftovers: () => [...families.keys()].map((family) => `socket family ${family}`),
    symbols: {
      sock_register: (family): Atomic => {
        if (!(family.family >= 0 && family.family < NPROTO)) throw fail('ENOBUFS', 'socket.register', `family ${family.family}, 0 to ${NPROTO - 1}`);
        if (families.has(family.family)) throw fail('EEXIST', 'socket.register', `address family ${family.family} is served`);
        families.set(family.family, family);
      },
      sock_unregister: (family): Atomic => {
        if (!families.delete(family)) throw new Error(`sock_unregister: family ${family} is not served`);
      },
      ksys_socket: async (given, family, typeAndFlags, protocol) => {
        const proc = processImpl(given);
        const type = typeAndFlags & SOCK_TYPE_MASK;
        const flags = typeAndFlags & ~SOCK_TYPE_MASK;
        if ((flags & ~(SOCK_CLOEXEC | SOCK_NONBLOCK)) !== 0) throw fail('EINVAL', 'socket.flags', `type 0x${typeAndFlags.toString(16)}`);
        if (!(family >= 0 && family < NPROTO)) throw fail('EAFNOSUPPORT', 'socket.family', `address family ${family}`);
        if (type >= SOCK_MAX) throw fail('EINVAL', 'socket.type', `type ${type}, 0 to ${SOCK_MAX - 1}`);
        const fd = files.reserve(proc);
        try {
          const file = await create(proc, family, type, protocol, O_RDWR | (flags & SOCK_NONBLOCK & O_NONBLOCK));
          return await files.install(proc, fd, file);
        } finally {
          files.unreserve(proc, fd);
        }
      },
      ksys_bind: (proc, fd, address) => socket(proc, fd, async (file) => {
        if (file.ops.bind === undefined) throw unsupported(file, 'bind');
        await file.ops.bind(file, address, proc);
      }),
      ksys_sendmsg: (proc, fd, bytes, address) => socket(proc, fd, async (file) => {
        if (file.ops.sendmsg === undefined) throw unsupported(file, 'sendmsg');
        return file.ops.sendmsg(file, bytes, address, proc);
      }),
      ksys_recvmsg: (proc, fd, len, flags = 0) => socket(proc, fd, async (file) => {
        if (file.ops.recvmsg === undefined) throw unsupported(file, 'recvmsg');
        return file.ops.recvmsg(file, len, proc, flags | waitFlags(file));
      }),
      ksys_getsockname: (proc, fd) => socket(proc, fd, async (file) => {
        if (file.ops.getsockname === undefined) throw unsupported(file, 'getsockname');
        return file.ops.getsockname(file);
      }),
      ksys_setsockopt: (proc, fd, level, name, value) => socket(proc, fd, async (file) => {
        if (file.ops.setsockopt === undefined) throw unsupported(file, 'setsockopt');
        await file.ops.setsockopt(file, level, name, value, proc);
      }),
    },
  };
}
