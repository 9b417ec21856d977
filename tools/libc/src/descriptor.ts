/** What descriptors lead to, without touching what they lead to. */
import { readlinkSync } from 'node:fs';

/** What a descriptor of a thread is: `socket:[INODE]`, a path; `null` when it is not open. */
export function descriptorLink(tid: number | 'self', fd: number): string | null {
  try {
    return readlinkSync(`/proc/${tid}/fd/${fd}`);
  } catch {
    return null;
  }
}
