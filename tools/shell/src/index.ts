/** The lab's own shell, its applets and the transcript runner. */
export { applets } from './applets/index.ts';
export { readFileBytes, writeFileBytes } from './commands/pcap.ts';
export { runHosted, type HostedEnd, type HostedOptions } from './hosted.ts';
export { Interactive, isUnfinished, type InTask } from './interactive.ts';
export { hostcp } from './applets/host.ts';
export { Program, type Applet, type Launcher } from './program.ts';
export { Session, WALK, type CommandResult, type SessionOptions } from './session.ts';
export { Shell, type AppletTable } from './shell.ts';
export { ShellState } from './state.ts';
export { diffLines, normalize, sameOutput, volatileParts } from './transcript/compare.ts';
export { parseTranscript, TranscriptError, type Transcript, type TranscriptCommand } from './transcript/parse.ts';
export { commandNeeds, type CommandNeeds } from './transcript/needs.ts';
export { noSetup, parseSetup, strayLines, type Setup } from './transcript/setup.ts';
export { formatUevent, playedLines, Player, record, replay, textLines, verdictText, type Played, type Plays, type Verdict } from './transcript/run.ts';
export { errnoText, labSystem, wasTold, type System } from './system.ts';
export { provideUsermode } from './usermode.ts';
