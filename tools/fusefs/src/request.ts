/** Requests as they come from /dev/fuse, and the fields of their arguments. */
import {
  fuse_access_in, fuse_create_in, fuse_getattr_in, fuse_in_header, fuse_ioctl_in, fuse_lseek_in, fuse_mkdir_in, fuse_mknod_in, fuse_open_in,
  fuse_poll_in, fuse_read_in, fuse_release_in, fuse_rename2_in, fuse_rename_in, fuse_setattr_in, fuse_write_in,
} from '@vdpalab/uapi';

/** Bytes before the arguments. */
export const IN_HEADER = fuse_in_header.size;

/** One request. Its arguments lie in the reader's buffer, which the next request overwrites: a handler reads them before it awaits. */
export interface FuseRequest {
  readonly opcode: number;
  readonly unique: number;
  readonly nodeid: number;
  readonly uid: number;
  readonly gid: number;
  /** Thread that called; 0 for the host's kernel, and for one our pid namespace does not show. */
  readonly pid: number;
  /** A signal came for the caller. */
  interrupted: boolean;
  /** Told when a signal comes; `null` while there is no sleep to end. */
  onInterrupt: (() => void) | null;
}

/** The bytes of the request that is being dispatched. */
export class Arguments {
  readonly #bytes: Buffer;
  #end = 0;

  /** @param buffer what requests are read into */
  constructor(buffer: Buffer) {
    this.#bytes = buffer;
  }

  /** Take the head of the request that was just read. @param length bytes that were read */
  begin(length: number): FuseRequest {
    this.#end = length;
    const bytes = this.#bytes;
    const { offsets } = fuse_in_header;
    return {
      opcode: bytes.readUInt32LE(offsets.opcode),
      unique: this.#u64(offsets.unique),
      nodeid: this.#u64(offsets.nodeid),
      uid: bytes.readUInt32LE(offsets.uid),
      gid: bytes.readUInt32LE(offsets.gid),
      pid: bytes.readUInt32LE(offsets.pid),
      interrupted: false,
      onInterrupt: null,
    };
  }

  /** A 32-bit field. @param at offset in the arguments */
  u32(at: number): number {
    return this.#bytes.readUInt32LE(IN_HEADER + at);
  }

  /** A 64-bit field; what is above 2^53 is not exact. @param at offset in the arguments */
  u64(at: number): number {
    return this.#u64(IN_HEADER + at);
  }

  /** A name that ends with a NUL. @param at offset in the arguments */
  name(at: number): string {
    return this.#bytes.toString('utf8', IN_HEADER + at, this.#nul(at));
  }

  /** Two names, one behind the other. */
  names(at: number): [string, string] {
    return [this.name(at), this.name(this.#nul(at) - IN_HEADER + 1)];
  }

  /** A copy of bytes. */
  copy(at: number, length: number): Uint8Array {
    return new Uint8Array(this.#bytes.subarray(IN_HEADER + at, Math.min(IN_HEADER + at + length, this.#end)));
  }

  #nul(at: number): number {
    const nul = this.#bytes.indexOf(0, IN_HEADER + at);
    return nul < 0 || nul > this.#end ? this.#end : nul;
  }

  #u64(at: number): number {
    return this.#bytes.readUInt32LE(at) + this.#bytes.readUInt32LE(at + 4) * 0x1_0000_0000;
  }
}

/** Offsets of the argument fields that are read, by struct. */
export const at = {
  access: fuse_access_in.offsets,
  create: fuse_create_in.offsets,
  getattr: fuse_getattr_in.offsets,
  lseek: fuse_lseek_in.offsets,
  ioctl: fuse_ioctl_in.offsets,
  mkdir: fuse_mkdir_in.offsets,
  mknod: fuse_mknod_in.offsets,
  open: fuse_open_in.offsets,
  poll: fuse_poll_in.offsets,
  read: fuse_read_in.offsets,
  release: fuse_release_in.offsets,
  rename: fuse_rename_in.offsets,
  rename2: fuse_rename2_in.offsets,
  setattr: fuse_setattr_in.offsets,
  write: fuse_write_in.offsets,
} as const;
