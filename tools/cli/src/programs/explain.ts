/** `explain`: why the last command was refused, and what would have worked. */
import { explainCommand, explainError, explanationLines, labView, ruleLines, toolLines, toolsSaid } from '@vdpalab/explain';
import type { CommandRecord } from '@vdpalab/lab';
import { wasTold, type Applet } from '@vdpalab/shell';

const HELP = `Usage: explain [-a | RULE | MESSAGE]
Say why the last command was refused: the rule, the values compared, and what would have worked.
  -a       every refusal the lab remembers, of all processes
  RULE     the entry of the table of errors: module.unload.users
  MESSAGE  what a tool printed: 'rmmod: ERROR: Module vdpa is in use by: vhost_vdpa'
`;

/** The program. */
export const explain: Applet = async (c) => {
  const { lab } = c.system;
  if (lab === undefined) return c.fail('there is no lab here');
  const [word] = c.args;
  if (word === '-h' || word === '--help') {
    c.out(HELP);
    return 0;
  }
  const view = labView(lab, c.p);
  if (word === '-a') {
    for (const { call, error, comm, pid } of lab.refusals.refusals) c.out(lines(explanationLines(`${comm}[${pid}]: ${call}`, await explainError(error, view))));
    return 0;
  }
  if (word !== undefined) {
    const text = c.args.join(' ');
    const entry = ruleLines(text) ?? toolsSaid(text).flatMap((said) => toolLines(said, view));
    if (entry.length === 0) return c.fail(`${text}: no rule and no message of a tool; docs/reference/errors.md has all`);
    c.out(lines(entry));
    return 0;
  }
  const told = await lastRefused(lab.refusals.commands, async (command) => explainCommand(command, view, wasTold));
  if (told === null) return c.fail('no command was refused anything');
  c.out(lines(told));
  return 0;
};

/** The command that runs, if something before in its line was refused, else the one before it. */
async function lastRefused(commands: readonly CommandRecord[], say: (command: CommandRecord) => Promise<string[]>): Promise<string[] | null> {
  for (const command of commands.slice(-2).toReversed()) {
    const told = await say(command);
    if (told.length > 0) return told;
  }
  return null;
}

const lines = (texts: readonly string[]): string => texts.map((text) => `${text}\n`).join('');
