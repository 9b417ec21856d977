/** A lab with a shell: without hardware, for the simulators, unless it is described. */
import { programs } from '@vdpalab/cli';
import { createLab, type Lab, type LabConfigInput } from '@vdpalab/lab';
import { Player } from '@vdpalab/shell';

/** A running lab with its shell. */
export interface SimLab {
  readonly lab: Lab;
  /** Run a command. @returns its output, errors marked, then `exit: N` */
  readonly sh: (command: string) => Promise<readonly string[]>;
  /** Uevents of the last command. */
  readonly uevents: () => readonly string[];
  /** Close the shell and the lab. @returns what was left behind */
  readonly close: () => Promise<readonly string[]>;
}

/** Boot, and load these modules. */
export async function simLab(modules: readonly string[], seed = 1, config: LabConfigInput = { memory: '64M', iommu: false }): Promise<SimLab> {
  const lab = await createLab({ config, seed });
  const player = await Player.open(lab, { applets: programs });
  let last: readonly string[] = [];
  const sh = async (command: string): Promise<readonly string[]> => {
    const { out, uevents } = await player.play(command);
    last = uevents;
    return out;
  };
  for (const module of modules) {
    const out = await sh(`modprobe ${module}`);
    if (out.at(-1) !== 'exit: 0') throw new Error(`modprobe ${module}: ${out.join(', ')}`);
  }
  return {
    lab,
    sh,
    uevents: () => last,
    async close() {
      await player.close();
      return await lab.close();
    },
  };
}
