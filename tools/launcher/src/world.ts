/** The lab as real programs see it: its files over the host's, in a namespace of their own. */
import { closeSync, openSync } from 'node:fs';
import { release as hostRelease } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { bestReader, deviceFlags, FuseSession, LabFs, PassedFiles, type HostProcesses, type ReaderKind } from '@vdpalab/fusefs';
import type { Lab } from '@vdpalab/lab';
import { isKernelError } from '@vdpalab/abi';
import { LauncherError } from './errors.ts';
import { HOST_DIR, withHostNames, type SharedDirectory } from './host-names.ts';
import { Keeper } from './keeper.ts';
import { mountScript } from './mount-script.ts';
import { copyProcessors } from './processors.ts';
import { openByHelper } from './passed-file.ts';
import type { Entrance } from './protocol.ts';
import type { LabPaths } from './runtime-dir.ts';
import type { PassFile } from './trap/descriptor-calls.ts';
import { writeProgramsByPath } from './shims.ts';
import type { FindDevice } from './trap/stat-calls.ts';

/** Milliseconds the mount may stay once the namespace has ended: its last process takes it away. */
const UNMOUNT_MS = 3000;

/** A namespace with the lab in it. */
export interface World {
  readonly entrance: Entrance;
  /** For ioctls of the lab's files that return a descriptor. */
  readonly pass: PassFile;
  /** What the lab says of its devices. */
  readonly findDevice: FindDevice;
  /** Whether calls of programs are under way. */
  readonly busy: () => boolean;
  /** Settles when nobody can enter any more. */
  readonly ended: Promise<void>;
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

/**
 * Mount the lab in a new namespace.
 *
 * @param processes of the host: who enters is one of them; not closed here
 * @param further top directories where the lab's names hide the host's, and new ones are the lab's
 * @throws LauncherError when the host has not what it takes
 */
export async function openWorld(lab: Lab, paths: LabPaths, processes: HostProcesses, further: readonly string[] = []): Promise<World> {
  const bugs: string[] = [];
  const onBug = (text: string): void => void bugs.push(text);
  const reader = bestReader();
  const fuse = openFuse(reader);
  const fs = await LabFs.create(lab, { processes, onBug });
  const passed = new PassedFiles(fs);
  const own = further.map((path) => ({ path, isLabs: () => true, host: HOST_DIR, unlisted: true }));
  const session = new FuseSession(fuse, reader, passed.wrap(withHostNames(fs, [...sharedDirectories(lab), ...own])), { onBug });
  let mounted = false;
  let keeper: Keeper;
  try {
    keeper = await Keeper.start(paths, {
      mounts: mountScript(paths, ['/dev', '/proc', ...further], { before: copyProcessors(paths), after: writeProgramsByPath(paths) }), fuse, user: process.env['VDPALAB_USER_NAMESPACE'] === '1',
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
    busy: () => session.pending > 0,
    ended: keeper.ended,
    close: async () => {
      const inside = await keeper.stop();
      await passed.close();
      const gone = await Promise.race([session.ended.then(() => true), delay(UNMOUNT_MS, false, { ref: false })]);
      await fs.close();
      if (gone) closeSync(fuse);
      else inside.push('a namespace that a program made still has the mount');
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
