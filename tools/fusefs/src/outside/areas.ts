/** What a process of the host has mapped, as /proc/PID/maps tells. */
import { readFileSync } from 'node:fs';
import type { ForeignArea } from '@vdpalab/mm';
import { MAP_ANONYMOUS, MAP_PRIVATE, MAP_SHARED, PROT_EXEC, PROT_READ, PROT_WRITE } from '@vdpalab/uapi';

/** One mapping. */
export interface HostArea extends ForeignArea {
  /** File name, `[heap]` and such, or empty. */
  readonly name: string;
  /** The range as its name in /proc/PID/map_files. */
  readonly range: string;
}

const LINE = /^(([0-9a-f]+)-([0-9a-f]+)) ([r-])([w-])([x-])([ps]) ([0-9a-f]+) ([0-9a-f]+:[0-9a-f]+) (\d+) *(.*)$/;
/** Pages that are the kernel's own: nobody may pin them, and some cannot be read from outside. */
const KERNEL_PAGES: ReadonlySet<string> = new Set(['[vvar]', '[vvar_vclock]', '[vsyscall]', '[vdso]']);
const PAGE_SHIFT = 4096;

/** Read the lines of a maps file. Device files and the kernel's own pages are left out. */
export function parseMaps(text: string): HostArea[] {
  const areas: HostArea[] = [];
  for (const line of text.split('\n')) {
    const match = LINE.exec(line);
    if (match === null) continue;
    const [, range = '', from = '', to = '', r, w, x, shared, offset = '', device, inode, name = ''] = match;
    if (KERNEL_PAGES.has(name) || (name.startsWith('/dev/') && !name.startsWith('/dev/shm/') && !name.startsWith('/dev/zero'))) continue;
    const start = Number.parseInt(from, 16);
    const at = Number.parseInt(offset, 16);
    const anonymous = inode === '0';
    areas.push({
      start, end: Number.parseInt(to, 16), name, range,
      prot: (r === 'r' ? PROT_READ : 0) | (w === 'w' ? PROT_WRITE : 0) | (x === 'x' ? PROT_EXEC : 0),
      flags: (shared === 's' ? MAP_SHARED : MAP_PRIVATE) | (anonymous ? MAP_ANONYMOUS : 0),
      pgoff: at / PAGE_SHIFT,
      backing: anonymous ? '' : `${device} ${inode} ${start - at} ${shared}`,
    });
  }
  return areas;
}

/** Mappings of a process now; none when it is gone, or not ours to look at. */
export function hostAreas(pid: number): HostArea[] {
  try {
    return parseMaps(readFileSync(`/proc/${pid}/maps`, 'latin1'));
  } catch {
    return [];
  }
}
