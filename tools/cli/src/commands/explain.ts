/** `vdpalab explain`: play commands or a transcript, and say of each that was refused why; or print a rule. */
import { existsSync } from 'node:fs';
import { explainCommand, labView, ruleLines, ruleParts, toolLines, toolsSaid } from '@vdpalab/explain';
import { noSetup, Player, replay, verdictText, wasTold, type Transcript } from '@vdpalab/shell';
import type { Lab } from '@vdpalab/lab';
import { programs } from '../programs/index.ts';
import { labFor, openTranscript, type OpenTranscript, type RunOptions } from './run.ts';

/** How explanations are asked for. */
export interface ExplainOptions extends Pick<RunOptions, 'lab' | 'seed' | 'fail' | 'out'> {
  /** Commands to run one after the other. */
  readonly command?: readonly string[];
}

/** A rule or message that nothing is known of. */
export class UnknownRuleError extends Error {
  constructor(what: string) {
    super(`${what}: no rule, no message of a tool, no file; docs/reference/errors.md has all rules`);
    this.name = 'UnknownRuleError';
  }
}

/**
 * Explain transcripts, rules and messages, then commands.
 *
 * @param what names of transcripts, ids of rules or their beginnings, messages of tools
 * @throws UnknownRuleError
 */
export async function explainAll(what: readonly string[], options: ExplainOptions): Promise<void> {
  for (const text of what) {
    if (existsSync(text)) await explainTranscript(openTranscript(text), options);
    else say(options, entries(text));
  }
  if (options.command !== undefined) await explainCommands(options.command, options);
}

/** Lines about a rule, about rules of that beginning, or about a message. */
function entries(text: string): string[] {
  const exact = ruleLines(text);
  if (exact !== null) return exact;
  const below = ruleParts.flatMap((part) => part.rules).filter((rule) => rule.id.startsWith(`${text}.`));
  const found = below.length > 0 ? below.map((rule) => `${rule.id}: ${rule.says}`) : toolsSaid(text).flatMap((said) => toolLines(said, null));
  if (found.length === 0) throw new UnknownRuleError(text);
  return found;
}

async function explainCommands(commands: readonly string[], options: ExplainOptions): Promise<void> {
  const opened: OpenTranscript = { file: '.', transcript: { lab: null, commands: [], lines: [] } as unknown as Transcript, setup: noSetup }; // has no commands of its own
  const lab = await labFor(opened, options);
  const player = await Player.open(lab, { applets: programs });
  for (const command of commands) {
    const played = await player.play(command);
    say(options, [`$ ${command}`, ...played.out.filter((line) => line !== 'exit: 0')]);
    say(options, await lastExplained(lab));
  }
  await player.close();
  await lab.close();
}

/** Play a transcript; explain commands that fail or do not do what it says. */
async function explainTranscript(opened: OpenTranscript, options: ExplainOptions): Promise<void> {
  const lab = await labFor(opened, options);
  const player = await Player.open(lab, { applets: programs });
  for (const wanted of opened.transcript.commands) {
    const [verdict] = await replay(player, { ...opened.transcript, commands: [wanted] });
    if (verdict === undefined) continue;
    const explained = await lastExplained(lab);
    if (verdict.equal && explained.length === 0) continue;
    say(options, verdict.equal ? [`${opened.file}:${wanted.line}: $ ${wanted.command}`] : [verdictText(verdict, opened.file)]);
    say(options, explained);
  }
  await player.close();
  await lab.close();
}

/** Explain the newest command of a lab; no lines when nothing refused it. */
export async function lastExplained(lab: Lab): Promise<string[]> {
  const command = lab.refusals.commands.at(-1);
  if (command === undefined) return [];
  return lab.user((p) => explainCommand(command, labView(lab, p), wasTold), { comm: 'explain' });
}

function say({ out }: ExplainOptions, lines: readonly string[]): void {
  for (const line of lines) out(`${line}\n`);
}
