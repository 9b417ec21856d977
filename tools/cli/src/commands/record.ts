/** `vdpalab record`: run a script's commands and print the transcript. */
import { readFileSync } from 'node:fs';
import { parseTranscript, Player, record } from '@vdpalab/shell';
import { programs } from '../programs/index.ts';
import { labFor, type RunOptions } from './run.ts';

/** @returns what the lab still held after it was shut down */
export async function recordScript(file: string, options: Pick<RunOptions, 'lab' | 'seed' | 'out'>): Promise<readonly string[]> {
  const script = parseTranscript(readFileSync(file, 'utf8'), file);
  const lab = await labFor(script, file, options);
  const player = await Player.open(lab, { applets: programs });
  await record(player, script, (lines) => options.out(`${lines.join('\n')}\n`));
  await player.close();
  return lab.close();
}
