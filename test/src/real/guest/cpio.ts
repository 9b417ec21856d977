/** Writes an initramfs: the `newc` form of cpio. */

/** One entry of an archive. */
export interface CpioEntry {
  /** Path without a leading slash. */
  readonly path: string;
  /** Type and permissions, such as 0o100755 or 0o40755. */
  readonly mode: number;
  /** Contents; of a symbolic link, its target; absent for directories and devices. */
  readonly data?: Uint8Array;
  /** Major and minor number of a device. */
  readonly device?: readonly [major: number, minor: number];
}

const TRAILER: CpioEntry = { path: 'TRAILER!!!', mode: 0 };

/**
 * Make an archive; everything belongs to root and dates from 1970.
 *
 * @see Documentation/driver-api/early-userspace/buffer-format.rst, Linux 6.1
 */
export function cpioArchive(entries: readonly CpioEntry[]): Uint8Array {
  return Buffer.concat([...entries, TRAILER].flatMap((entry, i) => {
    const name = Buffer.from(`${entry.path}\0`);
    const data = entry.data ?? new Uint8Array(0);
    const directory = (entry.mode & 0o170000) === 0o40000;
    const [major, minor] = entry.device ?? [0, 0];
    // ino, mode, uid, gid, nlink, mtime, filesize, dev (2), rdev (2), namesize, check
    const fields = [i + 1, entry.mode, 0, 0, directory ? 2 : 1, 0, data.length, 0, 0, major, minor, name.length, 0];
    const header = Buffer.from(`070701${fields.map((n) => n.toString(16).padStart(8, '0')).join('')}`);
    return [header, name, padding(header.length + name.length), data, padding(data.length)];
  }));
}

function padding(length: number): Uint8Array {
  return new Uint8Array((4 - (length % 4)) % 4);
}
