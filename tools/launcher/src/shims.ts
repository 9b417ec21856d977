/** Programs for PATH that act on the lab instead of on the host's kernel. */
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { LabPaths } from './runtime-dir.ts';

/** Names of the programs: those that talk to the kernel by other ways than files. */
export const shimNames: readonly string[] = ['modprobe', 'insmod', 'rmmod', 'lsmod', 'modinfo', 'depmod', 'vdpa', 'devlink', 'dmesg'];

/** Runs any program of the lab by name: `lab ip link`. */
const ANY = 'lab';

const quoted = (word: string): string => `'${word.replaceAll("'", "'\\''")}'`;

/** Write the programs of a lab. @param names besides `lab` */
export function writePrograms(paths: LabPaths, names: readonly string[] = shimNames): void {
  const shim = fileURLToPath(new URL('../dist/shim.js', import.meta.url));
  mkdirSync(paths.bin, { recursive: true, mode: 0o755 });
  for (const name of [...names, ANY]) {
    const file = join(paths.bin, name);
    writeFileSync(file, `#!/bin/sh\nexec ${[process.execPath, shim, paths.socket, ...(name === ANY ? [] : [name])].map(quoted).join(' ')} "$@"\n`);
    chmodSync(file, 0o755);
  }
}
