/** Programs about the kernel rather than about files: kmod's tools, lspci, captures. */
import type { Applet } from '../program.ts';
import { devlink } from './devlink.ts';
import { dmesg } from './dmesg.ts';
import { ethtool } from './ethtool.ts';
import { ip } from './ip.ts';
import { kmodCommands } from './kmod.ts';
import { lspci } from './lspci.ts';
import { pcapCommands } from './pcap.ts';
import { modplan } from './plan.ts';
import { vdpa } from './vdpa.ts';

/** All of them by name. */
export const commands: readonly (readonly [string, Applet])[] = [...kmodCommands, ['lspci', lspci], ['vdpa', vdpa], ['devlink', devlink], ['dmesg', dmesg], ['ip', ip], ['ethtool', ethtool], ['modplan', modplan], ...pcapCommands];
