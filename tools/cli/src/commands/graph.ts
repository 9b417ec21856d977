/** `vdpalab graph`: draw a lab, as it boots or after a script. */
import { createLab } from '@vdpalab/lab';
import { Player } from '@vdpalab/shell';
import { devicePicture, modulePicture, render, type GraphFormat } from '../graph.ts';
import { programs } from '../programs/index.ts';
import { QuestionError } from './questions.ts';
import { labFor, openTranscript } from './run.ts';

/** How a picture is made. */
export interface GraphOptions {
  readonly what: 'modules' | 'devices';
  readonly format: GraphFormat;
  readonly lab?: string;
  /** A script whose commands run first. */
  readonly after?: string;
  /** Stop the script in front of this line. */
  readonly until?: number;
}

/** @returns the picture as a text. @throws QuestionError when the script has no such line */
export async function graphOf(options: GraphOptions): Promise<string> {
  const script = options.after === undefined ? null : openTranscript(options.after);
  const lines = script?.transcript.lines.length ?? 0;
  if (script !== null && (options.until ?? 0) > lines) throw new QuestionError(`${script.file}: line ${options.until}: the file has ${lines} lines`);
  const lab = script === null ? await createLab(options.lab === undefined ? {} : { file: options.lab }) : await labFor(script, options);
  const player = await Player.open(lab, { applets: programs });
  for (const { command, line } of script?.transcript.commands ?? []) {
    if (options.until !== undefined && line >= options.until) break;
    await player.play(command);
  }
  const text = await render(options.what === 'modules' ? modulePicture(lab, options.format === 'svg') : await devicePicture(lab), options.format);
  await player.close();
  await lab.close();
  return text;
}
