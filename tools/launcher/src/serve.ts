/** A lab that listens: boots, lets clients in, lives until it is told to end. */
import { HostProcesses } from '@vdpalab/fusefs';
import { createLab, type Lab, type LabOptions } from '@vdpalab/lab';
import { labSystem, provideUsermode, type AppletTable } from '@vdpalab/shell';
import { claim } from './claim.ts';
import { ControlServer } from './control-server.ts';
import { LauncherError } from './errors.ts';
import { openWorld, type World } from './world.ts';
import { removeLabDir, type LabPaths } from './runtime-dir.ts';
import { writePrograms } from './shims.ts';

/** What a lab that listens is made from. */
export interface ServeOptions {
  readonly name: string;
  readonly lab: Omit<LabOptions, 'clock'>;
  /** Programs of the lab. */
  readonly applets: AppletTable;
  /** Top directories besides where the lab's names hide the host's, and new ones are the lab's. */
  readonly shared?: readonly string[];
  /** Programs of the lab that stand in front of the host's, besides {@link shimNames}. */
  readonly shims?: readonly string[];
}

/** A lab that listens. */
export interface RunningLab {
  readonly lab: Lab;
  readonly paths: LabPaths;
  /** Why real programs cannot enter; `null` when they can. */
  readonly closed: string | null;
  /** Where programs enter; `null` when they cannot. */
  readonly world: World | null;
  /** Resolves with what was left behind once the lab has ended, whoever asked for it. */
  readonly ended: Promise<readonly string[]>;
  /** End it. @returns what was left behind */
  readonly down: () => Promise<readonly string[]>;
}

/** Boot a lab and let clients in. @throws LauncherError when the name is taken; what {@link createLab} throws */
export async function serveLab(options: ServeOptions): Promise<RunningLab> {
  const paths = claim(options.name);
  try {
    const lab = await createLab({ ...options.lab, clock: 'paced' });
    provideUsermode(lab, labSystem(lab, (proc) => lab.processOf(proc)), { applets: options.applets });
    writePrograms(paths, options.shims);
    const bugs: string[] = [];
    const processes = new HostProcesses(lab, (text) => void bugs.push(text));
    return await listen(lab, options, paths, { processes, bugs, world: await worldOf(lab, paths, processes, options.shared) });
  } catch (error) {
    removeLabDir(paths);
    throw error;
  }
}

/** The lab as real programs see it; why not, where the host has not what that takes. */
async function worldOf(lab: Lab, paths: LabPaths, processes: HostProcesses, shared: readonly string[] | undefined): Promise<World | string> {
  try {
    return await openWorld(lab, paths, processes, shared);
  } catch (error) {
    if (error instanceof LauncherError) return error.message;
    await processes.close();
    await lab.close();
    throw error;
  }
}

/** What stands around a lab. */
interface Surroundings {
  readonly processes: HostProcesses;
  /** Faults, told when the lab ends. */
  readonly bugs: string[];
  /** Or why there is none. */
  readonly world: World | string;
}

async function listen(lab: Lab, options: ServeOptions, paths: LabPaths, { processes, bugs, world }: Surroundings): Promise<RunningLab> {
  const started = Date.now();
  const closed = typeof world === 'string' ? world : null;
  let tellEnd: (left: readonly string[]) => void = () => {};
  const ended = new Promise<readonly string[]>((resolve) => {
    tellEnd = resolve;
  });
  let ending: Promise<readonly string[]> | null = null;
  const down = (): Promise<readonly string[]> => {
    ending ??= (async () => {
      const inside = typeof world === 'string' ? [] : await world.close();
      const served = await control.drain();
      await processes.close();
      return [...inside, ...served, ...(await lab.close()), ...bugs];
    })();
    return ending;
  };
  const finish = async (left: readonly string[]): Promise<void> => {
    await control.close();
    removeLabDir(paths);
    tellEnd(left);
  };
  const control = await ControlServer.listen(paths.socket, {
    lab, processes, applets: options.applets, pass: typeof world === 'string' ? null : world.pass, findDevice: typeof world === 'string' ? null : world.findDevice,
    entrance: () => {
      if (typeof world === 'string') throw new LauncherError(world);
      return world.entrance;
    },
    status: () => ({ name: options.name, pid: process.pid, lab: options.lab.file ?? null, uptime: Date.now() - started, modules: lab.loader.modules().length, closed }),
    down,
    report: (text) => void bugs.push(text),
    isDown: (left) => void finish(left),
  });
  if (typeof world !== 'string') {
    const lost = world.ended.then(async () => {
      if (ending !== null) return;
      bugs.push('the namespace of programs was lost: its keeper has ended');
      await finish(await down()); // a lab that nobody can enter is of no use, and who uses it is gone
    });
    lost.catch((error: unknown) => bugs.push(String(error)));
  }
  return {
    lab, paths, closed, ended, world: typeof world === 'string' ? null : world,
    down: async () => {
      const left = await down();
      await finish(left);
      return left;
    },
  };
}
