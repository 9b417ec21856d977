/**
 * Transcripts: what was typed and what came of it. Scenario, golden reference and recording are this one format.
 *
 * `$ command`, its standard output as is, `stderr: ` lines, `exit: N`, then `dmesg: ` and `uevent: ` lines. `## ` heads
 * a section, `# ` is a remark; `# lab: FILE` and `# covers: ROWS` say something to the tools.
 */

/** One command with what it did. */
export interface TranscriptCommand {
  readonly command: string;
  /** 1-based line of the command. */
  readonly line: number;
  /** Heading it stands under; empty before the first. */
  readonly section: string;
  /** Output, errors and `exit: N`, line by line. */
  readonly out: readonly string[];
  /** Kernel log lines, without `dmesg: `. */
  readonly dmesg: readonly string[];
  /** Uevents, without `uevent: `. */
  readonly uevents: readonly string[];
  /** Whether an `exit: N` line was there: a script to be recorded has none. */
  readonly recorded: boolean;
}

/** A whole transcript. */
export interface Transcript {
  readonly commands: readonly TranscriptCommand[];
  /** `# lab: FILE`, as written. */
  readonly lab: string | null;
  /** Ids of `# covers: ` lines. */
  readonly covers: readonly string[];
  /** Lines as they are: remarks and headings are kept by a recording. */
  readonly lines: readonly string[];
}

/** What is wrong with a transcript, and where. */
export class TranscriptError extends Error {
  constructor(file: string, line: number, text: string) {
    super(`${file}:${line}: ${text}`);
    this.name = 'TranscriptError';
  }
}

interface Open {
  readonly command: string;
  readonly line: number;
  readonly section: string;
  readonly out: string[];
  readonly dmesg: string[];
  readonly uevents: string[];
  recorded: boolean;
}

/** 1-based lines of the commands whose `exit: N` follows: what stands in between is their output, whatever it looks like. */
function recordedCommands(lines: readonly string[]): ReadonlySet<number> {
  const recorded = new Set<number>();
  let open = 0;
  lines.forEach((line, index) => {
    if (line.startsWith('$ ')) open = index + 1;
    else if (line.startsWith('exit: ') && open > 0) {
      recorded.add(open);
      open = 0;
    }
  });
  return recorded;
}

/** How a recording that is whole ends. */
const END = '[end of transcript]';

const isRemark = (line: string): boolean => line === '' || line.startsWith('# ') || line === '#' || line.startsWith('## ') || line === END;

/**
 * Read a transcript, or a script of its commands alone.
 *
 * @param file name for messages
 * @throws TranscriptError for a line that belongs to nothing, or an exit status that is no number
 */
export function parseTranscript(text: string, file: string): Transcript {
  const lines = text.replace(/\n$/, '').split('\n');
  const commands: Open[] = [];
  let section = '';
  let lab: string | null = null;
  const covers: string[] = [];
  const ends = recordedCommands(lines);
  lines.forEach((line, index) => {
    const current = commands.at(-1);
    if (line.startsWith('$ ')) {
      commands.push({ command: line.slice(2), line: index + 1, section, out: [], dmesg: [], uevents: [], recorded: false });
      return;
    }
    const between = current === undefined || current.recorded || !ends.has(current.line);
    if (between && isRemark(line)) {
      if (line.startsWith('## ')) section = line.slice(3);
      lab = /^# lab: (\S+)$/.exec(line)?.[1] ?? lab;
      covers.push(...(/^# covers: (.+)$/.exec(line)?.[1]?.split(/\s+/) ?? []));
      return;
    }
    if (current === undefined) throw new TranscriptError(file, index + 1, `'${line}' stands before the first command, whose line begins with "$ "`);
    if (current.recorded && line.startsWith('dmesg: ')) current.dmesg.push(line.slice(7));
    else if (current.recorded && line.startsWith('uevent: ')) current.uevents.push(line.slice(8));
    else if (current.recorded) throw new TranscriptError(file, index + 1, `'${line}' stands after the exit status of '${current.command}'`);
    else {
      if (line.startsWith('exit: ')) {
        if (!/^exit: \d{1,3}$/.test(line)) throw new TranscriptError(file, index + 1, `'${line}' is no exit status`);
        current.recorded = true;
      }
      current.out.push(line);
    }
  });
  return { commands, lab, covers, lines };
}
