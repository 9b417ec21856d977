/** Replaying the recordings of a real kernel, one lab each. */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { labStage, openTranscript, type Stage } from '@vdpalab/cli';
import { commandNeeds, replay, type CommandNeeds, type Verdict } from '@vdpalab/shell';

/** Folder of the recordings. */
export const recordings = fileURLToPath(new URL('../../data/reference/linux-6.1/', import.meta.url));

/** Folder of the scenarios. */
const scenarios = fileURLToPath(new URL('../../scenarios/', import.meta.url));

/** Names of the scenarios. */
export function scenarioNames(): string[] {
  return readdirSync(scenarios).filter((name) => name.endsWith('.txt')).sort();
}

/** Where a recording or a scenario is. */
export function transcriptFile(name: string): string {
  return (scenarioNames().includes(name) ? scenarios : recordings) + name;
}

/** What of a command is compared. */
export const parts = ['out', 'dmesg', 'uevents'] as const;
export type Part = (typeof parts)[number];

/** A command that was replayed. */
export interface Replayed {
  readonly verdict: Verdict;
  readonly needs: CommandNeeds;
  /** Parts that differ. */
  readonly differs: readonly Part[];
}

/** A recording that was replayed. */
export interface Score {
  /** File name: `01-modules-load.txt`. */
  readonly name: string;
  readonly commands: readonly Replayed[];
  /** What the lab held in the end. */
  readonly left: readonly string[];
}

/** File names of the recordings whose names begin with one of `which`; all when there is none. */
export function recordingNames(which: readonly string[] = []): string[] {
  return readdirSync(recordings).filter((name) => name.endsWith('.txt') && (which.length === 0 || which.some((w) => name.startsWith(`${w}-`) || name === w))).sort();
}

/** A module's file in the tree, in modules.dep, or beside it. */
const MODULE_FILE = /(?:\/lib\/modules\/[\w./-]+|\/opt|\bkernel\/[\w./-]+)\/([\w-]+)\.ko\b/g;

/** Modules that any recording names by their file. */
export function recordedModules(): Set<string> {
  const texts = recordingNames().map((name) => readFileSync(recordings + name, 'utf8'));
  return new Set(texts.flatMap((text) => [...text.matchAll(MODULE_FILE)].map((match) => (match[1] as string).replaceAll('-', '_')))); // the group always takes part
}

/** Replay one recording or scenario. @param stageOf whose shell plays it: the host's bash is `realStage` */
export async function replayRecording(name: string, stageOf: typeof labStage = labStage): Promise<Score> {
  const opened = openTranscript(transcriptFile(name));
  const { lab, player, close }: Stage = await stageOf(opened, {});
  const missing = recordedModules();
  for (const { info, dir } of lab.builtModules) if (!dir.includes('/playground/foreign')) missing.delete(info.name); // stand-ins have names and no behaviour
  for (const path of Object.keys(lab.config.files)) missing.delete(/([\w-]+)\.ko$/.exec(path)?.[1]?.replaceAll('-', '_') ?? '');
  const verdicts = await replay(player, opened.transcript, undefined, opened.setup);
  const left = await close();
  const commands = verdicts.map((verdict): Replayed => ({
    verdict,
    needs: commandNeeds(verdict, missing),
    differs: parts.filter((part) => !({ out: verdict.outEqual, dmesg: verdict.dmesgEqual, uevents: verdict.ueventsEqual })[part]),
  }));
  return { name, commands, left };
}
