/** Answers as /dev/fuse takes them: one write each. */
import { writeSync } from 'node:fs';
import {
  FUSE_NOTIFY_POLL, fuse_attr, fuse_attr_out, fuse_dirent, fuse_entry_out, fuse_init_out, fuse_ioctl_out, fuse_lseek_out, fuse_open_out, fuse_out_header, fuse_poll_out, fuse_statfs_out,
  fuse_write_out,
} from '@vdpalab/uapi';

/** What `stat` is to tell. */
export interface Attr {
  readonly ino: number;
  /** Bytes. */
  readonly size: number;
  readonly nlink: number;
  /** Type and permission bits: st_mode. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** As the host's kernel encodes it: {@link newEncodeDev}. */
  readonly rdev: number;
  /** Seconds since the epoch. */
  readonly mtime: number;
}

/** One name of a directory. */
export interface DirEntry {
  readonly name: string;
  readonly ino: number;
  /** DT_*: st_mode >> 12. */
  readonly type: number;
}

/** Settings of the connection: `struct fuse_init_out`. */
export interface InitReply {
  readonly major: number;
  readonly minor: number;
  readonly max_readahead: number;
  readonly flags: number;
  readonly max_background: number;
  readonly congestion_threshold: number;
  readonly max_write: number;
  readonly time_gran: number;
  readonly max_pages: number;
}

const HEADER = fuse_out_header.size;
const PAGE_SIZE = 4096;

/** `new_encode_dev` of linux/kdev_t.h */
export function newEncodeDev(major: number, minor: number): number {
  return ((minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12)) >>> 0;
}

/** Encodes answers into one buffer and writes them; the host's kernel copies before the write returns. */
export class Replies {
  readonly #fd: number;
  readonly #out: Buffer;
  readonly #onBug: (text: string) => void;

  /** @param room bytes the longest answer needs, its head excluded */
  constructor(fd: number, room: number, onBug: (text: string) => void) {
    this.#fd = fd;
    this.#out = Buffer.alloc(HEADER + room);
    this.#onBug = onBug;
  }

  /** @param errno positive; 0 for success without a body */
  error(unique: number, errno: number): void {
    this.#send(unique, HEADER, -errno);
  }

  init(unique: number, reply: InitReply): void {
    const { offsets, size } = fuse_init_out;
    const out = this.#out.fill(0, HEADER, HEADER + size);
    for (const field of ['major', 'minor', 'max_readahead', 'flags', 'max_write', 'time_gran'] as const) out.writeUInt32LE(reply[field], HEADER + offsets[field]);
    for (const field of ['max_background', 'congestion_threshold', 'max_pages'] as const) out.writeUInt16LE(reply[field], HEADER + offsets[field]);
    this.#send(unique, HEADER + size);
  }

  /** A name's node; neither is to be kept. */
  entry(unique: number, nodeid: number, attr: Attr): void {
    this.#send(unique, this.#putEntry(HEADER, nodeid, attr));
  }

  attr(unique: number, attr: Attr): void {
    const { offsets, size } = fuse_attr_out;
    this.#out.fill(0, HEADER, HEADER + offsets.attr);
    this.#putAttr(HEADER + offsets.attr, attr);
    this.#send(unique, HEADER + size);
  }

  /** @param flags FOPEN_* */
  open(unique: number, fh: number, flags: number): void {
    this.#send(unique, this.#putOpen(HEADER, fh, flags));
  }

  create(unique: number, nodeid: number, attr: Attr, fh: number, flags: number): void {
    this.#send(unique, this.#putOpen(this.#putEntry(HEADER, nodeid, attr), fh, flags));
  }

  bytes(unique: number, bytes: Uint8Array): void {
    this.#out.set(bytes, HEADER);
    this.#send(unique, HEADER + bytes.length);
  }

  text(unique: number, text: string): void {
    this.#send(unique, HEADER + this.#out.write(text, HEADER, 'utf8'));
  }

  written(unique: number, size: number): void {
    this.#out.fill(0, HEADER, HEADER + fuse_write_out.size).writeUInt32LE(size, HEADER + fuse_write_out.offsets.size);
    this.#send(unique, HEADER + fuse_write_out.size);
  }

  /** @param offset where a seek has led */
  position(unique: number, offset: number): void {
    this.#u64(HEADER, offset); // its only field
    this.#send(unique, HEADER + fuse_lseek_out.size);
  }

  poll(unique: number, revents: number): void {
    this.#out.fill(0, HEADER, HEADER + fuse_poll_out.size).writeUInt32LE(revents, HEADER + fuse_poll_out.offsets.revents);
    this.#send(unique, HEADER + fuse_poll_out.size);
  }

  /** @param out bytes the host's kernel puts where the caller's argument points; at most the size in the command */
  ioctl(unique: number, result: number, out: Uint8Array | null): void {
    const { offsets, size } = fuse_ioctl_out;
    this.#out.fill(0, HEADER, HEADER + size).writeInt32LE(result | 0, HEADER + offsets.result);
    if (out !== null) this.#out.set(out, HEADER + size);
    this.#send(unique, HEADER + size + (out?.length ?? 0));
  }

  /** A file system without blocks. */
  statfs(unique: number): void {
    const { size } = fuse_statfs_out;
    const st = HEADER; // its only field
    this.#out.fill(0, st, st + size);
    this.#out.writeUInt32LE(PAGE_SIZE, st + 40);
    this.#out.writeUInt32LE(255, st + 44);
    this.#out.writeUInt32LE(PAGE_SIZE, st + 48);
    this.#send(unique, HEADER + size);
  }

  /**
   * Names of a directory from `first` on, as many as fit.
   *
   * @param size bytes the caller has room for
   */
  dirents(unique: number, entries: readonly DirEntry[], first: number, size: number): void {
    const { offsets } = fuse_dirent;
    const out = this.#out;
    let end = HEADER;
    for (let i = first; i < entries.length; i++) {
      const entry = entries[i]!; // below the length
      const namelen = Buffer.byteLength(entry.name);
      const next = end + ((fuse_dirent.size + namelen + 7) & ~7);
      if (next - HEADER > size) break;
      out.fill(0, end, next);
      this.#u64(end + offsets.ino, entry.ino);
      this.#u64(end + offsets.off, i + 1);
      out.writeUInt32LE(namelen, end + offsets.namelen);
      out.writeUInt32LE(entry.type, end + offsets.type);
      out.write(entry.name, end + fuse_dirent.size, 'utf8');
      end = next;
    }
    this.#send(unique, end);
  }

  /** Tell the host's kernel that poll's answer may have changed. @param kh the kernel's number of the file */
  pollWakeup(kh: number): void {
    this.#u64(HEADER, kh);
    this.#send(0, HEADER + 8, FUSE_NOTIFY_POLL);
  }

  #putEntry(at: number, nodeid: number, attr: Attr): number {
    const { offsets, size } = fuse_entry_out;
    this.#out.fill(0, at, at + offsets.attr);
    this.#u64(at + offsets.nodeid, nodeid);
    this.#putAttr(at + offsets.attr, attr);
    return at + size;
  }

  #putOpen(at: number, fh: number, flags: number): number {
    const { offsets, size } = fuse_open_out;
    this.#u64(at + offsets.fh, fh);
    this.#out.writeUInt32LE(flags, at + offsets.open_flags);
    this.#out.writeUInt32LE(0, at + offsets.padding);
    return at + size;
  }

  #putAttr(at: number, attr: Attr): void {
    const { offsets, size } = fuse_attr;
    const out = this.#out.fill(0, at, at + size);
    this.#u64(at + offsets.ino, attr.ino);
    this.#u64(at + offsets.size, attr.size);
    this.#u64(at + offsets.atime, attr.mtime);
    this.#u64(at + offsets.mtime, attr.mtime);
    this.#u64(at + offsets.ctime, attr.mtime);
    out.writeUInt32LE(attr.mode, at + offsets.mode);
    out.writeUInt32LE(attr.nlink, at + offsets.nlink);
    out.writeUInt32LE(attr.uid, at + offsets.uid);
    out.writeUInt32LE(attr.gid, at + offsets.gid);
    out.writeUInt32LE(attr.rdev, at + offsets.rdev);
    out.writeUInt32LE(PAGE_SIZE, at + offsets.blksize);
  }

  #u64(at: number, value: number): void {
    this.#out.writeUInt32LE(value % 0x1_0000_0000, at);
    this.#out.writeUInt32LE(Math.floor(value / 0x1_0000_0000), at + 4);
  }

  #send(unique: number, end: number, error = 0): void {
    const out = this.#out;
    const { offsets } = fuse_out_header;
    out.writeUInt32LE(end, offsets.len);
    out.writeInt32LE(error, offsets.error);
    this.#u64(offsets.unique, unique);
    try {
      writeSync(this.#fd, out, 0, end);
    } catch (thrown) {
      const { code } = thrown as NodeJS.ErrnoException;
      // The caller was killed meanwhile, or the mount is gone.
      if (code === 'ENOENT' || code === 'ENODEV' || code === 'EPERM' || code === 'ECONNABORTED' || code === 'EBADF') return;
      this.#onBug(`fuse: the kernel takes no answer of ${end} bytes to request ${unique}: ${String(thrown)}`);
      if (end > HEADER && unique !== 0) this.error(unique, 5);
    }
  }
}
