/** Programs for PATH that act on the lab instead of on the host's kernel. */
import { chmodSync, copyFileSync, mkdirSync, realpathSync, symlinkSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findProgram, SYSTEM_PATH } from './find-program.ts';
import type { LabPaths } from './runtime-dir.ts';
import type { FamilyName } from './trap/family-names.ts';

/** Runs any program of the lab by name: `lab ip link`. */
const ANY = 'lab';

/** The programs, by the kind of calls through which the host's own of that name reach the lab once they are trapped; `files` have none. */
const kinds = {
  modules: ['modprobe', 'insmod', 'rmmod', 'lsmod', 'modinfo', 'depmod'],
  netlink: ['vdpa', 'devlink'],
  log: ['dmesg'], // reads /dev/kmsg, and clears by the call
  files: [ANY],
} as const;

/** Names of the programs: those that talk to the kernel by other ways than files. */
export const shimNames: readonly string[] = Object.values(kinds).flat().filter((name) => name !== ANY);

/**
 * Directories for PATH: those in front of the caller's, and those behind it, where the host's own programs are preferred.
 *
 * @param trapped kinds of calls that the lab answers
 */
export function programDirs(bin: string, trapped: readonly FamilyName[]): { readonly front: readonly string[]; readonly back: readonly string[] } {
  if (trapped.length === 0) return { front: [bin], back: [] };
  const isTrapped = (kind: string): boolean => (trapped as readonly string[]).includes(kind);
  const dirs = (wanted: boolean): string[] => Object.keys(kinds).filter((kind) => isTrapped(kind) === wanted).map((kind) => join(bin, kind));
  return { front: dirs(false), back: dirs(true) };
}

/** Says to programs which kinds of calls are trapped; of those, the host's own programs are to run. */
export const TRAPPED = 'VDPALAB_TRAPPED';

/** Where the host's own programs go that a lab puts others over, and the one that is put there, below a lab's directory. */
const HOSTS = 'host';
const BY_PATH = 'by-path';

/** A program file of the host, and the names it goes by: kmod has several. */
interface HostProgram {
  readonly path: string;
  readonly names: string[];
}

/** The host's programs in place of which others run, also for who calls them by their paths. */
function hostPrograms(): HostProgram[] {
  const found = new Map<string, HostProgram>();
  for (const name of shimNames) {
    const path = findProgram(name, SYSTEM_PATH.join(':'));
    if (path === null) continue;
    const real = realpathSync(path);
    if (basename(real) !== name && basename(real) !== 'kmod') continue; // one file for everything, such as busybox
    const program = found.get(real) ?? { path: real, names: [] };
    program.names.push(name);
    found.set(real, program);
  }
  return [...found.values()];
}

const quoted = (word: string): string => `'${word.replaceAll("'", "'\\''")}'`;

/** A program that runs one of the lab's: its interpreter, then its file. */
export type ShimProgram = readonly [string, string];

const file = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** The same twice: perl starts in a tenth of the time, and node is there. */
export const perlShim = (perl: string): ShimProgram => [perl, file('../bin/shim.pl')];
export const nodeShim: ShimProgram = [process.execPath, file('../dist/shim.js')];

function shimProgram(): ShimProgram {
  const perl = findProgram('perl');
  return perl === null ? nodeShim : perlShim(perl);
}

/**
 * Write the programs of a lab, all in one directory and each kind in one of its own.
 *
 * @param further programs of the lab, in the directory of all
 */
export function writePrograms(paths: LabPaths, further: readonly string[] = []): void {
  const shim = shimProgram();
  const write = (dir: string, name: string): void => {
    const words = [...shim, paths.socket, ...(name === ANY ? [] : [name])];
    writeFileSync(join(dir, name), `#!/bin/sh\nexport PERL_BADLANG=0\nexec ${words.map(quoted).join(' ')} "$@"\n`);
    chmodSync(join(dir, name), 0o755);
  };
  for (const [kind, names] of Object.entries(kinds)) {
    mkdirSync(join(paths.bin, kind), { recursive: true, mode: 0o755 });
    for (const name of names) for (const dir of [paths.bin, join(paths.bin, kind)]) write(dir, name);
  }
  for (const name of further) write(paths.bin, name);
}

/**
 * Write the program that is to be mounted over the host's own: it runs the lab's of the name that it is called by.
 *
 * @returns lines for bash that mount it
 */
export function writeProgramsByPath(paths: LabPaths): string {
  const hosts = join(paths.dir, HOSTS);
  const byPath = join(paths.dir, BY_PATH);
  const programs = hostPrograms();
  mkdirSync(hosts, { mode: 0o755 });
  for (const { path, names } of programs) {
    copyFileSync(path, join(hosts, basename(path)));
    for (const name of names) if (name !== basename(path)) symlinkSync(basename(path), join(hosts, name));
  }
  const kindOf = Object.entries(kinds).map(([kind, names]) => `${names.join('|')}) kind=${kind} ;;`).join(' ');
  writeFileSync(byPath, `#!/bin/sh
name=\${0##*/}
case $name in ${kindOf} *) kind=modules ;; esac
case " $${TRAPPED} " in *" $kind "*) exec ${quoted(hosts)}/$name "$@" ;; esac
export PERL_BADLANG=0
exec ${[...shimProgram(), paths.socket].map(quoted).join(' ')} "$name" "$@"
`);
  chmodSync(byPath, 0o755);
  return programs.map(({ path }) => `mount -n --bind ${quoted(byPath)} ${quoted(path)}\n`).join('');
}
