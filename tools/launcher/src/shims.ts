/** Programs for PATH that act on the lab instead of on the host's kernel. */
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findProgram } from './find-program.ts';
import type { LabPaths } from './runtime-dir.ts';
import type { FamilyName } from './trap/family-names.ts';

/** Runs any program of the lab by name: `lab ip link`. */
const ANY = 'lab';

/** The programs, by the kind of calls through which the host's own of that name reach the lab once they are trapped; `files` have none. */
const kinds = {
  modules: ['modprobe', 'insmod', 'rmmod', 'lsmod', 'modinfo', 'depmod'],
  netlink: ['vdpa', 'devlink'],
  files: ['dmesg', ANY], // dmesg prefers /dev/kmsg to the call
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

const quoted = (word: string): string => `'${word.replaceAll("'", "'\\''")}'`;

/** A program that runs one of the lab's: its interpreter, then its file. */
export type ShimProgram = readonly [string, string];

const file = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** The same twice: perl starts in a tenth of the time, and node is there. */
export const perlShim = (perl: string): ShimProgram => [perl, file('../bin/shim.pl')];
export const nodeShim: ShimProgram = [process.execPath, file('../dist/shim.js')];

/**
 * Write the programs of a lab, all in one directory and each kind in one of its own.
 *
 * @param further programs of the lab, in the directory of all
 */
export function writePrograms(paths: LabPaths, further: readonly string[] = []): void {
  const perl = findProgram('perl');
  const shim = perl === null ? nodeShim : perlShim(perl);
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
