/** The programs a lab has, by name. */
import type { Applet } from '../program.ts';
import { commands } from '../commands/index.ts';
import { dd } from './dd.ts';
import { dumpApplets } from './dump.ts';
import { fileApplets } from './files.ts';
import { find } from './find.ts';
import { grep } from './grep.ts';
import { ls } from './ls.ts';
import { mknod } from './mknod.ts';
import { processApplets } from './processes.ts';
import { sed } from './sed.ts';
import { sortingApplets } from './sorting.ts';
import { sumApplets } from './sums.ts';
import { systemApplets } from './system-programs.ts';
import { textApplets } from './text.ts';

/** All of them; a door may add its own to a copy. */
export const applets: ReadonlyMap<string, Applet> = new Map<string, Applet>([
  ['ls', ls], ['grep', grep], ['egrep', grep], ['fgrep', grep], ['sed', sed], ['find', find], ['mknod', mknod], ['dd', dd],
  ...textApplets, ...sortingApplets, ...dumpApplets, ...fileApplets, ...systemApplets, ...processApplets, ...sumApplets, ...commands,
]);
