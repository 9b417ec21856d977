/** `vdpalab run`: play transcripts, and say per command whether it did what the transcript says. */
import { closeSync, existsSync, mkdirSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { basename, dirname, resolve } from 'node:path';
import { createLab, type Lab, type LabOptions } from '@vdpalab/lab';
import { EthernetSwitch, type TraceSink } from '@vdpalab/machine';
import {
  applets, commandNeeds, noSetup, parseSetup, parseTranscript, playedLines, Player, replay, strayLines, TranscriptError, verdictText, type Plays, type Setup, type Transcript, type Verdict,
} from '@vdpalab/shell';
import { jsonLines } from '@vdpalab/trace';
import { LauncherError, RealPlayer, serveLab } from '@vdpalab/launcher';
import { lastExplained } from './explain.ts';
import { readInput } from '../input-file.ts';
import { devicePicture, modulePicture, render } from '../graph.ts';
import { programs } from '../programs/index.ts';
import { reportHtml } from '../report.ts';

/** How a run is made. */
export interface RunOptions {
  /** Lab file instead of the transcript's own. */
  readonly lab?: string;
  readonly seed?: number;
  /** What is to fail on purpose. */
  readonly fail?: readonly string[];
  /** Say of commands that differ why they were refused. */
  readonly explain?: boolean;
  /** Print what every command did, not only what differs. */
  readonly verbose?: boolean;
  /** Write a report of the run there. */
  readonly report?: string;
  /** Write a trace there, as JSON lines. */
  readonly trace?: string;
  /** Run the commands in the host's own bash. */
  readonly real?: boolean;
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
}

/** What a transcript came to. */
export interface RunSummary {
  readonly file: string;
  readonly commands: number;
  readonly equal: number;
  /** What the lab still held after it was shut down. */
  readonly left: readonly string[];
}

/** The most interesting moment for pictures: when most vDPA devices are bound. */
interface Moment {
  readonly modules: string;
  readonly devices: string;
  readonly score: number;
}

/** A transcript and `FILE.setup` beside it, where there is one. */
export interface OpenTranscript {
  readonly file: string;
  readonly transcript: Transcript;
  readonly setup: Setup;
}

/**
 * Read a transcript with its set-up.
 *
 * @throws TranscriptError for what is no transcript, or names a lab file that is not there; InputFileError when it cannot be read
 */
export function openTranscript(file: string): OpenTranscript {
  const text = readInput(file);
  const transcript = parseTranscript(text, file);
  if (transcript.commands.length === 0) throw new TranscriptError(file, 1, 'no command is in it: a command\'s line begins with "$ "');
  const beside = `${file}.setup`;
  const setup = existsSync(beside) ? parseSetup(readInput(beside)) : noSetup;
  const [stray] = strayLines(setup, transcript);
  if (stray !== undefined) throw new TranscriptError(beside, stray, `no command of ${basename(file)} is on this line`);
  const lab = transcript.lab ?? setup.lab;
  if (lab !== null && !existsSync(resolve(dirname(file), lab))) {
    const place = transcript.lab === null ? { in: beside, lines: readInput(beside) } : { in: file, lines: text };
    throw new TranscriptError(place.in, place.lines.split('\n').indexOf(`# lab: ${lab}`) + 1, `there is no lab file ${resolve(dirname(file), lab)}`);
  }
  return { file, transcript, setup };
}

/** The options of a lab for a transcript: the caller's lab file, its own, or its set-up's. */
function labOptions({ file, transcript, setup }: OpenTranscript, options: Pick<RunOptions, 'lab' | 'seed' | 'fail'>, traceSink?: TraceSink): Omit<LabOptions, 'clock'> {
  const named = transcript.lab ?? setup.lab;
  const path = options.lab ?? (named === null ? undefined : resolve(dirname(file), named));
  return {
    ...(path === undefined ? {} : { file: path }), ...(options.seed === undefined ? {} : { seed: options.seed }), ...(options.fail === undefined ? {} : { fail: options.fail }), ...(traceSink === undefined ? {} : { traceSink }),
  };
}

/** A lab for a transcript, on a virtual clock. */
export async function labFor(opened: OpenTranscript, options: Pick<RunOptions, 'lab' | 'seed' | 'fail'>, traceSink?: TraceSink): Promise<Lab> {
  return createLab(labOptions(opened, options, traceSink));
}

/** A lab with a shell that plays. */
export interface Stage {
  readonly lab: Lab;
  readonly player: Plays;
  /** End both. @returns what was left behind */
  readonly close: () => Promise<readonly string[]>;
}

/** The lab's own shell. */
export async function labStage(opened: OpenTranscript, options: Pick<RunOptions, 'lab' | 'seed' | 'fail'>, traceSink?: TraceSink): Promise<Stage> {
  const lab = await labFor(opened, options, traceSink);
  const player = await Player.open(lab, { applets: programs });
  return {
    lab, player,
    close: async () => {
      await player.close();
      return lab.close();
    },
  };
}

/** Programs of a lab that a host has not, or whose kernel would be the host's. */
const LABS_PROGRAMS = ['ip', 'kmod', 'uname', 'modplan', 'tcpreplay', 'tcpdump', ...[...programs.keys()].filter((name) => !applets.has(name))];

/** Labs that {@link realStage} has made, which may run side by side. */
let stages = 0;

/** The host's bash, in the lab. @throws LauncherError where programs cannot enter */
export async function realStage(opened: OpenTranscript, options: Pick<RunOptions, 'lab' | 'seed' | 'fail'>, traceSink?: TraceSink): Promise<Stage> {
  const running = await serveLab({ name: `run-${process.pid}-${++stages}`, lab: labOptions(opened, options, traceSink), applets: programs, shared: ['/root', '/tmp'], shims: LABS_PROGRAMS });
  try {
    const player = await RealPlayer.open(running);
    return {
      lab: running.lab, player,
      close: async () => {
        await player.close();
        return running.down();
      },
    };
  } catch (error) {
    await running.down();
    throw error;
  }
}

/** Names and values of a lab's counters, for the end of a run. */
export function labSummary(lab: Lab, commands: number, modules: number): (readonly [string, string])[] {
  const { counters, sched } = lab.hw;
  const frames = [...lab.pci.networks.values()].reduce((sum, n) => (n instanceof EthernetSwitch ? sum + n.counters.forwarded + n.counters.flooded : sum), 0);
  return [
    ['modules loaded', String(modules)],
    ['commands', String(commands)],
    ['frames through switches', String(frames)],
    ['bytes read by DMA', String(counters.dmaRead)],
    ['bytes written by DMA', String(counters.dmaWritten)],
    ['interrupts', String(counters.interrupts)],
    ['DMA faults', String(counters.faults)],
    ['virtual time', `${(sched.now / 1e6).toFixed(3)} ms`],
    ['fingerprint of the run', sched.traceHash.toString(16).padStart(8, '0')],
  ];
}

async function picture(lab: Lab): Promise<Moment> {
  const devices = await devicePicture(lab);
  return { modules: await render(modulePicture(lab, true), 'svg'), devices: await render(devices, 'svg'), score: devices.nodes.length };
}

async function play({ file, transcript, setup }: OpenTranscript, { lab, player, close }: Stage, options: RunOptions): Promise<RunSummary> {
  let modules = 0;
  let moment: Moment | null = null as Moment | null; // set in a callback, which TypeScript does not follow
  let section = '';
  const verdicts = await replay(player, transcript, async (verdict) => {
    const { wanted } = verdict;
    modules = Math.max(modules, lab.loader.modules().length);
    if (wanted.section !== section) {
      section = wanted.section;
      if (options.verbose === true) options.out(`\n## ${section}\n`);
    }
    if (options.verbose === true) options.out(`${playedLines(wanted.command, verdict).filter((line) => line !== 'exit: 0').join('\n')}\n`);
    if (!verdict.equal) {
      const { programs: missing } = commandNeeds(verdict, new Set());
      options.out(`${verdictText(verdict, file)}\n${missing.length > 0 ? `    not there: ${missing.join(', ')}\n` : ''}`);
    }
    if (!verdict.equal && options.explain === true) for (const line of await lastExplained(lab)) options.out(`    ${line}\n`);
    if (options.report !== undefined) {
      const { nodes } = await lab.layers();
      if (moment === null || nodes.length > moment.score) moment = await picture(lab);
    }
  }, setup);
  const summary = labSummary(lab, verdicts.length, modules);
  const left = await close();
  const equal = verdicts.filter((v) => v.equal).length;
  options.out(`\n${basename(file)}: ${equal} of ${verdicts.length} commands as the transcript says\n`);
  for (const [name, value] of [...summary, ['left behind', left.length === 0 ? 'nothing' : `${left.length} things`] as const]) {
    options.out(`  ${name.padEnd(26)}${value}\n`);
  }
  for (const what of left) options.out(`  left behind: ${what}\n`);
  for (const { rule, seen } of lab.faults?.rules ?? []) if (seen === 0) options.out(`  never met: ${rule.text}\n`);
  if (options.report !== undefined && moment !== null) writeReport(options.report, file, summary, moment, verdicts);
  return { file, commands: verdicts.length, equal, left };
}

function writeReport(path: string, file: string, summary: readonly (readonly [string, string])[], moment: Moment, verdicts: readonly Verdict[]): void {
  mkdirSync(dirname(resolve(path)), { recursive: true });
  writeFileSync(path, reportHtml({
    title: `vdpalab: ${basename(file)}`,
    summary,
    pictures: [{ title: 'Device layers', svg: moment.devices }, { title: 'Loaded modules, and how many symbols of another each uses', svg: moment.modules }],
    commands: verdicts.map((v) => ({
      section: v.wanted.section, command: v.wanted.command, output: playedLines('', v).slice(1).join('\n'), ok: v.equal,
    })),
  }));
}

/** The host's bash where it is asked for and can enter, the lab's shell otherwise. */
export async function stageFor(opened: OpenTranscript, options: Pick<RunOptions, 'lab' | 'seed' | 'fail' | 'real' | 'err'>, traceSink?: TraceSink): Promise<Stage> {
  if (options.real !== true) return labStage(opened, options, traceSink);
  try {
    return await realStage(opened, options, traceSink);
  } catch (error) {
    if (!(error instanceof LauncherError)) throw error;
    options.err(`${basename(opened.file)}: in the lab's own shell: ${error.message}\n`);
    return labStage(opened, options, traceSink);
  }
}

/**
 * Run one transcript in a lab of its own.
 *
 * @throws LabFileError | TranscriptError | Error for what cannot be read
 */
export async function runTranscript(file: string, options: RunOptions): Promise<RunSummary> {
  const opened = openTranscript(file);
  const started = performance.now();
  const trace = options.trace === undefined ? null : openSync(options.trace, 'w');
  const stage = await stageFor(opened, options, trace === null ? undefined : jsonLines((line) => void writeSync(trace, line)));
  const summary = await play(opened, stage, options);
  if (trace !== null) closeSync(trace);
  options.err(`${basename(file)}: ${((performance.now() - started) / 1000).toFixed(2)} s\n`);
  return summary;
}
