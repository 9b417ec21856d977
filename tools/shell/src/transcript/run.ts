/** Running the commands of a transcript in a lab, to record or to compare. */
import type { Uevent } from '@vdpalab/driver-core';
import { formatLogLine, LabStuckError, type Lab, type UserProcess } from '@vdpalab/lab';
import { interrupt } from '../interrupt.ts';
import { Session, type SessionOptions } from '../session.ts';
import { labSystem } from '../system.ts';
import { provideUsermode } from '../usermode.ts';
import { diffLines, normalize, sameOutput } from './compare.ts';
import type { Transcript, TranscriptCommand } from './parse.ts';
import { noSetup, type Setup } from './setup.ts';

/** Virtual nanoseconds between a command's end and the next command. */
const MOMENT = 50_000_000;

/** What a command did. */
export interface Played {
  readonly out: readonly string[];
  readonly dmesg: readonly string[];
  readonly uevents: readonly string[];
}

/** A command against what its transcript says. */
export interface Verdict extends Played {
  readonly wanted: TranscriptCommand;
  readonly outEqual: boolean;
  readonly dmesgEqual: boolean;
  readonly ueventsEqual: boolean;
  /** All three. */
  readonly equal: boolean;
}

/** A uevent as transcripts write it. */
export function formatUevent(event: Uevent): string {
  const subsystem = event.env.find((line) => line.startsWith('SUBSYSTEM='))?.slice('SUBSYSTEM='.length) ?? '';
  const rest = event.env.filter((line) => !/^(ACTION|DEVPATH|SEQNUM|SUBSYSTEM)=/.test(line));
  return [`${event.action}@${event.devpath}`, `SUBSYSTEM=${subsystem}`, ...rest].join(' ');
}

/** Text as transcript lines. @param prefix put before each */
export function textLines(text: string, prefix = ''): string[] {
  if (text === '') return [];
  const lines = text.split('\n');
  const ended = lines.at(-1) === '';
  if (ended) lines.pop();
  const mark = ended || prefix !== '' ? '' : '<no newline at end>';
  return lines.map((line, i) => prefix + line + (i === lines.length - 1 ? mark : ''));
}

/** Plays commands one after the other, in one shell. */
export interface Plays {
  readonly play: (command: string) => Promise<Played>;
}

/** The lab's own shell, which plays one command after the other. */
export class Player implements Plays {
  readonly #lab: Lab;
  readonly #process: UserProcess;
  readonly #session: Session;

  private constructor(lab: Lab, process: UserProcess, session: Session) {
    this.#lab = lab;
    this.#process = process;
    this.#session = session;
  }

  /** Open a shell in /root. */
  static async open(lab: Lab, options: SessionOptions = {}): Promise<Player> {
    const process = await lab.process('bash', { cwd: '/root' });
    const system = labSystem(lab, (proc) => lab.processOf(proc));
    provideUsermode(lab, system, options);
    const session = await lab.as(process, (p) => Session.open(system, p, options));
    return new Player(lab, process, session);
  }

  /**
   * Run a command until the lab is idle but for what sleeps longer than a moment: jobs go on beside the next command.
   *
   * A command that waits for ever has the status 124 of `timeout`, and what it waits in is ended where a signal can.
   */
  async play(command: string): Promise<Played> {
    const lab = this.#lab;
    const mark = lab.log.mark;
    const uevents = lab.uevents.length;
    let status = 124;
    let stuck = '';
    try {
      ({ status } = await lab.as(this.#process, () => this.#session.run(command), MOMENT));
    } catch (error) {
      if (!(error instanceof LabStuckError)) throw error;
      stuck = `${error.message}\n`;
      await interrupt(lab, this.#process);
    }
    const { stdout, stderr } = this.#session.partial(); // jobs may have written until the lab was idle
    return {
      out: [...textLines(stdout), ...textLines(stderr + stuck, 'stderr: '), `exit: ${status}`],
      dmesg: lab.log.since(mark).flatMap((line) => formatLogLine(line).split('\n')),
      uevents: lab.uevents.slice(uevents).map(formatUevent),
    };
  }

  async close(): Promise<void> {
    await this.#lab.as(this.#process, () => this.#session.close());
    await this.#lab.exitProcess(this.#process);
  }
}

/** Play a transcript's commands and compare each with what it says. */
export async function replay(
  player: Plays, transcript: Transcript, onVerdict: (verdict: Verdict) => void | Promise<void> = () => {}, setup: Setup = noSetup,
): Promise<Verdict[]> {
  const verdicts: Verdict[] = [];
  if (setup.script !== '') await player.play(setup.script);
  for (const wanted of transcript.commands) {
    for (const unshown of setup.before.get(wanted.line) ?? []) await player.play(unshown);
    const played = await player.play(wanted.command);
    for (const unshown of setup.after) await player.play(unshown);
    const outEqual = sameOutput(wanted.out, played.out, wanted.command);
    const dmesgEqual = sameOutput(wanted.dmesg, played.dmesg);
    const ueventsEqual = sameOutput(wanted.uevents, played.uevents);
    const verdict: Verdict = { ...played, wanted, outEqual, dmesgEqual, ueventsEqual, equal: outEqual && dmesgEqual && ueventsEqual };
    verdicts.push(verdict);
    await onVerdict(verdict);
  }
  return verdicts;
}

/** The lines of a played command, as a transcript has them. */
export function playedLines(command: string, played: Played): string[] {
  return [`$ ${command}`, ...played.out, ...played.dmesg.map((line) => `dmesg: ${line}`), ...played.uevents.map((line) => `uevent: ${line}`)];
}

/** Play a script's commands and write what they did; remarks, headings and blank lines stay where they are. */
export async function record(player: Plays, script: Transcript, onLines: (lines: readonly string[]) => void, setup: Setup = noSetup): Promise<void> {
  let at = 0;
  if (setup.script !== '') await player.play(setup.script);
  for (const wanted of script.commands) {
    for (const unshown of setup.before.get(wanted.line) ?? []) await player.play(unshown);
    const before = script.lines.slice(at, wanted.line - 1);
    if (before.length > 0) onLines(before);
    onLines(playedLines(wanted.command, await player.play(wanted.command)));
    for (const unshown of setup.after) await player.play(unshown);
    at = wanted.line + wanted.out.length + wanted.dmesg.length + wanted.uevents.length;
  }
  const after = script.lines.slice(at);
  if (after.some((line) => line !== '')) onLines(after);
}

/** What differs, for a person: the command and, for each part that differs, a diff of the compared text. */
export function verdictText(verdict: Verdict, file: string): string {
  const { wanted } = verdict;
  const part = (equal: boolean, name: string, want: readonly string[], got: readonly string[], command?: string): string[] =>
    equal ? [] : [`    ${name}:`, ...diffLines(normalize(want, command), normalize(got, command)).map((line) => `    ${line}`)];
  return [
    `${file}:${wanted.line}: $ ${wanted.command}`,
    ...part(verdict.outEqual, 'output', wanted.out, verdict.out, wanted.command),
    ...part(verdict.dmesgEqual, 'dmesg', wanted.dmesg, verdict.dmesg),
    ...part(verdict.ueventsEqual, 'uevents', wanted.uevents, verdict.uevents),
  ].join('\n');
}
