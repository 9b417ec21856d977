/**
 * What a transcript leaves out: `TRANSCRIPT.setup`, a shell script that runs before its first command.
 *
 * Remarks in it say what the script cannot: `# lab: FILE` names the machine; `# before LINE: COMMAND` runs a command
 * in front of the one on that line of the transcript, as whoever recorded it did without showing it;
 * `# after each: COMMAND` runs one behind each.
 */
import type { Transcript, TranscriptCommand } from './parse.ts';

/** A transcript's set-up. */
export interface Setup {
  /** Run first, with no place in the comparison. */
  readonly script: string;
  /** Relative to the set-up. */
  readonly lab: string | null;
  /** By line of the transcript. */
  readonly before: ReadonlyMap<number, readonly string[]>;
  /** Run behind each command. */
  readonly after: readonly string[];
}

/** Of a transcript that has none. */
export const noSetup: Setup = { script: '', lab: null, before: new Map(), after: [] };

/** Read a set-up. */
export function parseSetup(script: string): Setup {
  let lab: string | null = null;
  const before = new Map<number, string[]>();
  const after: string[] = [];
  for (const line of script.split('\n')) {
    lab = /^# lab: (\S+)$/.exec(line)?.[1] ?? lab;
    const each = /^# after each: (.+)$/.exec(line)?.[1];
    if (each !== undefined) after.push(each);
    const hidden = /^# before (\d+(?:,\d+)*): (.+)$/.exec(line);
    for (const at of hidden?.[1]?.split(',') ?? []) before.set(Number(at), [...(before.get(Number(at)) ?? []), hidden?.[2] ?? '']);
  }
  return { script, lab, before, after };
}

/** Lines a set-up names that are no command's: it was made for another transcript. */
export function strayLines(setup: Setup, transcript: Transcript): number[] {
  const lines = new Set(transcript.commands.map((c: TranscriptCommand) => c.line));
  return [...setup.before.keys()].filter((line) => !lines.has(line));
}
