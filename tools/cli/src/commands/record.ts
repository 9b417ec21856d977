/** `vdpalab record`: run a script's commands and print the transcript. */
import { Player, record } from '@vdpalab/shell';
import { programs } from '../programs/index.ts';
import { labFor, openTranscript, type RunOptions } from './run.ts';

/** @returns what the lab still held after it was shut down */
export async function recordScript(file: string, options: Pick<RunOptions, 'lab' | 'seed' | 'fail' | 'out'>): Promise<readonly string[]> {
  const opened = openTranscript(file);
  const lab = await labFor(opened, options);
  const player = await Player.open(lab, { applets: programs });
  await record(player, opened.transcript, (lines) => options.out(`${lines.join('\n')}\n`), opened.setup);
  await player.close();
  return lab.close();
}
