/** The lab as real programs see it: its files over the host's, in a namespace of their own. */
import type { Lab } from '@vdpalab/lab';
import { Keeper } from './keeper.ts';
import type { Entrance } from './protocol.ts';
import type { LabPaths } from './runtime-dir.ts';

/** A namespace with the lab in it. */
export interface World {
  readonly entrance: Entrance;
  /** End it, with the programs in it. @returns what was still there */
  readonly close: () => Promise<string[]>;
}

/** Mount the lab in a new namespace. @throws LauncherError when the host has not what it takes */
export async function openWorld(_lab: Lab, paths: LabPaths): Promise<World> {
  const keeper = await Keeper.start(paths, { mounts: 'true' });
  return { get entrance() { return keeper.entrance; }, close: () => keeper.stop() };
}
