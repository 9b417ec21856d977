/** The lab as real programs see it: its files over the host's, in a namespace of their own. */
import { closeSync, openSync } from 'node:fs';
import { release as hostRelease } from 'node:os';
import { bestReader, deviceFlags, FuseSession, LabFs, PassedFiles, type ReaderKind } from '@vdpalab/fusefs';
import type { Lab } from '@vdpalab/lab';
import { isKernelError } from '@vdpalab/abi';
import { LauncherError } from './errors.ts';
import { HOST_DIR, withHostNames, type SharedDirectory } from './host-names.ts';
import { Keeper } from './keeper.ts';
import { mountScript } from './mount-script.ts';
import { openByHelper } from './passed-file.ts';
import type { Entrance } from './protocol.ts';
import type { LabPaths } from './runtime-dir.ts';
import type { PassFile } from './trap/descriptor-calls.ts';
import type { FindDevice } from './trap/stat-calls.ts';

/** A namespace with the lab in it. */
export interface World {
  readonly entrance: Entrance;
  /** For ioctls of the lab's files that return a descriptor. */
  readonly pass: PassFile;
  /** What the lab says of its devices. */
  readonly findDevice: FindDevice;
  /** End it, with the programs in it. @returns what was still there, and what went wrong */
  readonly close: () => Promise<string[]>;
}

/** Devices that every kernel has, and that the lab's own programs use: real ones use the host's. */
const HOSTS_DEVICES: ReadonlySet<string> = new Set(['null', 'zero', 'full', 'random', 'urandom', HOST_DIR]);
/** Files of /proc that tell of what the lab models. */
const LABS_PROC: ReadonlySet<string> = new Set(['modules', 'cmdline', 'interrupts', 'devices', 'partitions', 'sys']);
/** Of /proc/sys/kernel. */
const LABS_SYSCTLS: ReadonlySet<string> = new Set(['tainted', 'modules_disabled', 'modprobe']);

/** What is whose. @param host the host's `uname -r` */
export function sharedDirectories(lab: Lab, host = hostRelease()): SharedDirectory[] {
  const { release } = lab.config;
  return [
    { path: '/dev', isLabs: (name) => !HOSTS_DEVICES.has(name), host: HOST_DIR },
    { path: '/proc', isLabs: (name) => LABS_PROC.has(name), host: HOST_DIR },
    { path: '/proc/sys', isLabs: (name) => name === 'kernel', host: `../${HOST_DIR}/sys` },
    { path: '/proc/sys/kernel', isLabs: (name) => LABS_SYSCTLS.has(name), host: `../../${HOST_DIR}/sys/kernel` },
    { path: '/lib/modules', isLabs: (name) => name !== host || name === release, links: new Map(host === release ? [] : [[host, release]]) },
  ];
}

/** Mount the lab in a new namespace. @throws LauncherError when the host has not what it takes */
export async function openWorld(lab: Lab, paths: LabPaths): Promise<World> {
  const bugs: string[] = [];
  const onBug = (text: string): void => void bugs.push(text);
  const reader = bestReader();
  const fuse = openFuse(reader);
  const fs = await LabFs.create(lab, { onBug });
  const passed = new PassedFiles(fs);
  const session = new FuseSession(fuse, reader, passed.wrap(withHostNames(fs, sharedDirectories(lab))), { onBug });
  let mounted = false;
  let keeper: Keeper;
  try {
    keeper = await Keeper.start(paths, {
      mounts: mountScript(paths), fuse, user: process.env['VDPALAB_USER_NAMESPACE'] === '1',
      onMounted: () => {
        mounted = true;
        session.start();
      },
    });
  } catch (error) {
    if (mounted) await session.ended;
    await fs.close();
    closeSync(fuse);
    throw error;
  }
  return {
    get entrance() { return keeper.entrance; },
    findDevice: (path) => lab.as(fs.door, async (p) => {
      if (HOSTS_DEVICES.has(path.split('/')[2] ?? '')) return null;
      try {
        const stat = await p.stat(path);
        return stat.kind === 'chr' || stat.kind === 'blk' ? stat : null;
      } catch (error) {
        if (isKernelError(error)) return null; // no such file of the lab
        throw error;
      }
    }),
    pass: async (...call) => {
      const name = await passed.ioctl(...call);
      if (name === null) return null;
      try {
        return await openByHelper(`/proc/${keeper.entrance.pid}/root${paths.mount}/${name}`);
      } finally {
        await passed.drop(name); // what was opened is not its any more
      }
    },
    close: async () => {
      const inside = await keeper.stop();
      await passed.close();
      await session.ended; // the namespace's last process took the mount with it
      await fs.close();
      closeSync(fuse);
      return [...inside, ...bugs];
    },
  };
}

function openFuse(reader: ReaderKind): number {
  try {
    return openSync('/dev/fuse', deviceFlags(reader));
  } catch (error) {
    throw new LauncherError(`/dev/fuse: ${(error as NodeJS.ErrnoException).code === 'ENOENT' ? 'not there: load the fuse module, or give the container the device' : (error as Error).message}`);
  }
}
