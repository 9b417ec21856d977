/** Modes, owners and dates as text. */
import type { Stat } from '@vdpalab/fs';

const TYPE: Readonly<Record<Stat['kind'], string>> = { dir: 'd', file: '-', link: 'l', chr: 'c', blk: 'b', fifo: 'p', sock: 's' };
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
const DAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'];

/** `drwxr-xr-x` */
export function modeString(stat: Stat): string {
  const bits = [...'rwxrwxrwx'].map((char, i) => ((stat.mode & (0o400 >> i)) === 0 ? '-' : char));
  if ((stat.mode & 0o1000) !== 0) bits[8] = bits[8] === 'x' ? 't' : 'T';
  if ((stat.mode & 0o2000) !== 0) bits[5] = bits[5] === 'x' ? 's' : 'S';
  if ((stat.mode & 0o4000) !== 0) bits[2] = bits[2] === 'x' ? 's' : 'S';
  return TYPE[stat.kind] + bits.join('');
}

/** `/etc/passwd` of the lab. */
export function userName(uid: number): string {
  return uid === 0 ? 'root' : uid === 65534 ? 'nobody' : String(uid);
}

/** `/etc/group` of the lab. */
export function groupName(gid: number): string {
  return gid === 0 ? 'root' : gid === 65534 ? 'nogroup' : String(gid);
}

/** Number of a user by name or number; `null` for nobody known. */
export function userId(name: string): number | null {
  return name === 'root' ? 0 : name === 'nobody' ? 65534 : /^\d+$/.test(name) ? Number(name) : null;
}

/** The fields of a time, in UTC. @param seconds since the epoch */
export function dateFields(seconds: number): { year: number; month: number; day: number; weekday: number; hour: number; minute: number; second: number } {
  const d = new Date(Math.floor(seconds) * 1000);
  return {
    year: d.getUTCFullYear(), month: d.getUTCMonth() + 1, day: d.getUTCDate(), weekday: d.getUTCDay(),
    hour: d.getUTCHours(), minute: d.getUTCMinutes(), second: d.getUTCSeconds(),
  };
}

/** `Nov 20 14:30` */
export function lsDate(seconds: number): string {
  const d = dateFields(seconds);
  return `${MONTHS[d.month - 1]} ${String(d.day).padStart(2)} ${two(d.hour)}:${two(d.minute)}`;
}

/** `date +FORMAT` */
export function formatDate(seconds: number, format: string): string {
  const d = dateFields(seconds);
  const fields: Readonly<Record<string, string>> = {
    Y: String(d.year), m: two(d.month), d: two(d.day), H: two(d.hour), M: two(d.minute), S: two(d.second), s: String(Math.floor(seconds)),
    b: MONTHS[d.month - 1], a: DAYS[d.weekday], e: String(d.day).padStart(2), Z: 'UTC', z: '+0000', n: '\n', '%': '%', N: '000000000',
    j: String(Math.floor((seconds - Date.UTC(d.year, 0, 1) / 1000) / 86400) + 1).padStart(3, '0'), u: String(d.weekday === 0 ? 7 : d.weekday), w: String(d.weekday),
    y: two(d.year % 100), D: `${two(d.month)}/${two(d.day)}/${two(d.year % 100)}`, R: `${two(d.hour)}:${two(d.minute)}`, I: two(d.hour % 12 === 0 ? 12 : d.hour % 12), p: d.hour < 12 ? 'AM' : 'PM', t: '\t', F: `${d.year}-${two(d.month)}-${two(d.day)}`, T: `${two(d.hour)}:${two(d.minute)}:${two(d.second)}`,
  };
  return format.replace(/%([a-zA-Z%])/g, (all, letter: string) => fields[letter] ?? all);
}

function two(n: number): string {
  return String(n).padStart(2, '0');
}

/** What `stat -c %F` calls a file. */
export function kindName(stat: Stat): string {
  switch (stat.kind) {
    case 'dir': return 'directory';
    case 'link': return 'symbolic link';
    case 'chr': return 'character special file';
    case 'blk': return 'block special file';
    case 'fifo': return 'fifo';
    case 'sock': return 'socket';
    default: return stat.size === 0 ? 'regular empty file' : 'regular file';
  }
}
