/** `vdpalab record`: run a script's commands and print the transcript. */
import { record } from '@vdpalab/shell';
import { openTranscript, stageFor, type RunOptions } from './run.ts';

/** @returns what the lab still held after it was shut down */
export async function recordScript(file: string, options: Pick<RunOptions, 'lab' | 'seed' | 'fail' | 'real' | 'out'> & { readonly err?: RunOptions['err'] }): Promise<readonly string[]> {
  const opened = openTranscript(file);
  const { player, close } = await stageFor(opened, { err: () => {}, ...options });
  await record(player, opened.transcript, (lines) => options.out(`${lines.join('\n')}\n`), opened.setup);
  return close();
}
