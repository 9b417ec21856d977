/** `ls` of coreutils 9.1 with its output not on a terminal, in the C locale. */
import type { Stat } from '@vdpalab/fs';
import type { Applet, Program } from '../program.ts';
import { byBytes } from '../streams.ts';
import { errorText } from '../system.ts';
import { options, quoteName, type Options } from './options.ts';
import { groupName, lsDate, modeString, userName } from './stat-text.ts';

interface Entry {
  readonly name: string;
  readonly path: string;
  readonly stat: Stat;
  readonly target: string | null;
}

/** List files and directories. */
export const ls: Applet = async (c) => {
  const o = await options(c, 'laA1dRiFnrtSUhCgopsLmQcuXvNqbB', { color: 'C', 'full-time': 'l', 'group-directories-first': 'C', dereference: 'L', 'human-readable': 'h', size: 's',
    all: 'a', 'almost-all': 'A', directory: 'd', recursive: 'R', inode: 'i', classify: 'F', 'numeric-uid-gid': 'n', reverse: 'r',
  }, { status: 2 });
  return new Listing(c, o).run();
};

class Listing {
  readonly #c: Program;
  readonly #o: Options;
  readonly #long: boolean;
  #status = 0;
  #printed = false;

  constructor(c: Program, o: Options) {
    this.#c = c;
    this.#o = o;
    this.#long = o.has('l', 'n', 'g', 'o');
  }

  async run(): Promise<number> {
    const operands = this.#o.operands.length === 0 ? ['.'] : this.#o.operands;
    const files: Entry[] = [];
    const dirs: Entry[] = [];
    const follow = this.#o.has('L') || (!this.#long && !this.#o.has('d', 'F'));
    for (const path of operands) {
      const entry = await this.#entry(path, path, follow || /.\/$/.test(path), true);
      if (entry !== null) (entry.stat.kind === 'dir' && !this.#o.has('d') ? dirs : files).push(entry);
    }
    this.#print(this.#sorted(files));
    for (const dir of this.#sorted(dirs)) await this.#directory(dir.path, operands.length > 1 || this.#o.has('R'));
    return this.#status;
  }

  async #entry(name: string, path: string, follow: boolean, commandLine: boolean): Promise<Entry | null> {
    try {
      let stat: Stat;
      try {
        stat = follow ? await this.#c.p.stat(path) : await this.#c.p.lstat(path);
      } catch (error) {
        if (!follow) throw error;
        stat = await this.#c.p.lstat(path.replace(/(.)\/+$/, '$1')); // a dangling link is shown as itself
        if (path.endsWith('/') || stat.kind !== 'link') throw error;
      }
      return { name, path, stat, target: stat.kind === 'link' ? await this.#c.p.readlink(path) : null };
    } catch (error) {
      await this.#c.err(`ls: cannot access ${quoteName(path)}: ${errorText(error)}\n`);
      this.#status = Math.max(this.#status, commandLine ? 2 : 1);
      return null;
    }
  }

  async #directory(path: string, titled: boolean): Promise<void> {
    const { p } = this.#c;
    let names: string[];
    try {
      names = (await p.readdir(path)).map((entry) => entry.name);
    } catch (error) {
      await this.#c.err(`ls: cannot open directory ${quoteName(path)}: ${errorText(error)}\n`);
      this.#status = 2;
      return;
    }
    if (this.#o.has('a')) names.unshift('.', '..');
    else if (!this.#o.has('A')) names = names.filter((name) => !name.startsWith('.'));
    const entries: Entry[] = [];
    const below = path.endsWith('/') ? path : `${path}/`;
    for (const name of names) {
      const entry = await this.#entry(name, below + name, this.#o.has('L'), false);
      if (entry !== null) entries.push(entry);
    }
    if (titled) this.#c.out(`${this.#printed ? '\n' : ''}${path}:\n`);
    this.#printed = true;
    if (this.#long || this.#o.has('s')) this.#c.out(`total ${entries.reduce((sum, entry) => sum + blocks(entry), 0)}\n`);
    const sorted = this.#sorted(entries);
    this.#print(sorted);
    if (!this.#o.has('R')) return;
    for (const entry of sorted) {
      if (entry.stat.kind === 'dir' && entry.name !== '.' && entry.name !== '..') await this.#directory(entry.path, true);
    }
  }

  #sorted(entries: readonly Entry[]): Entry[] {
    const o = this.#o;
    if (o.has('U')) return [...entries];
    const sorted = entries.toSorted((a, b) => (o.has('t') ? b.stat.mtime - a.stat.mtime : o.has('S') ? b.stat.size - a.stat.size : 0) || byBytes(a.name, b.name));
    return o.has('r') ? sorted.reverse() : sorted;
  }

  #print(entries: readonly Entry[]): void {
    if (entries.length === 0) return;
    this.#printed = true;
    const rows = this.#long ? this.#longRows(entries) : entries.map((entry) => entry.name + this.#mark(entry));
    const inos = this.#o.has('i') ? entries.map((entry) => String(entry.stat.ino)) : null;
    if (this.#o.has('m') && !this.#long) {
      this.#c.out(`${rows.join(', ')}\n`);
      return;
    }
    const width = widest(inos ?? []);
    for (const [i, row] of rows.entries()) this.#c.out(`${inos === null ? '' : `${inos[i].padStart(width)} `}${row}\n`);
  }

  #mark(entry: Entry): string {
    if (this.#o.has('p')) return entry.stat.kind === 'dir' ? '/' : '';
    if (!this.#o.has('F')) return '';
    const { kind, mode } = entry.stat;
    return kind === 'dir' ? '/' : kind === 'link' ? (this.#long ? '' : '@') : kind === 'fifo' ? '|' : kind === 'sock' ? '=' : kind === 'file' && (mode & 0o111) !== 0 ? '*' : '';
  }

  #longRows(entries: readonly Entry[]): string[] {
    const numeric = this.#o.has('n');
    const cells = entries.map(({ stat }) => ({
      nlink: String(stat.nlink), user: numeric ? String(stat.uid) : userName(stat.uid), group: numeric ? String(stat.gid) : groupName(stat.gid),
      size: stat.rdev === null ? String(stat.size) : '', major: stat.rdev === null ? '' : String(stat.rdev.major), minor: stat.rdev === null ? '' : String(stat.rdev.minor),
    }));
    const w = {
      nlink: widest(cells.map((x) => x.nlink)), user: widest(cells.map((x) => x.user)), group: widest(cells.map((x) => x.group)),
      size: widest(cells.map((x) => x.size)), major: widest(cells.map((x) => x.major)), minor: widest(cells.map((x) => x.minor)),
    };
    const devices = cells.some((x) => x.major !== '');
    const sizeWidth = Math.max(w.size, devices ? w.major + 2 + w.minor : 0);
    return entries.map((entry, i) => {
      const x = cells[i];
      const size = x.major === '' ? x.size.padStart(sizeWidth) : `${x.major.padStart(w.major + sizeWidth - (w.major + 2 + w.minor))}, ${x.minor.padStart(w.minor)}`;
      const arrow = entry.target === null ? '' : ` -> ${entry.target}`;
      return `${modeString(entry.stat)} ${x.nlink.padStart(w.nlink)} ${x.user.padEnd(w.user)} ${x.group.padEnd(w.group)} ${size} ${lsDate(entry.stat.mtime)} ${entry.name}${arrow}${this.#mark(entry)}`;
    });
  }
}

function widest(texts: readonly string[]): number {
  return Math.max(0, ...texts.map((text) => text.length));
}

/** 1 KiB blocks a file takes; nodes of the kernel's file systems take none. */
function blocks({ path, stat }: Entry): number {
  return stat.kind !== 'file' || /^\/(sys|proc|dev)(\/|$)/.test(path) || stat.size === 4096 ? 0 : Math.ceil(stat.size / 4096) * 4;
}
