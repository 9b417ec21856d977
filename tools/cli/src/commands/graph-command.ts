/** `vdpalab graph`: pictures of a lab, and questions about its module tree. */
import { InvalidArgumentError, Option, type Command } from 'commander';
import { graphFormats, type GraphFormat } from '../graph.ts';
import { graphOf } from './graph.ts';
import {
  cyclesAnswer, diffAnswer, impactAnswer, symbolsAnswer, unusedExportsAnswer, whyAnswer, type QuestionOptions,
} from './questions.ts';

/** What of a lab is drawn, with the sentence of its help. */
const pictures = {
  modules: 'draw which module needs which: those loaded, or the whole tree when none is',
  devices: 'draw the layers of a live lab, from processes down to hardware',
} as const;

function lineNumber(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('not a line number');
  return Number(text);
}

/** Add the command with its subcommands. */
export function addGraph(program: Command, out: (text: string) => void): void {
  const graph = program.command('graph').description('draw a lab, or ask which module needs which, why, and what a change breaks');

  for (const what of ['modules', 'devices'] as const) {
    graph.command(what).description(pictures[what])
      .addOption(new Option('--format <format>', 'how to write it').choices(graphFormats).default('text'))
      .option('--lab <file>', 'lab file')
      .option('--after <script>', 'run the commands of a script first')
      .option('--until <line>', 'stop the script in front of this line', lineNumber)
      .action(async (options: { format: GraphFormat; lab?: string; after?: string; until?: number }) => out(await graphOf({ what, ...options })));
  }

  const question = (usage: string, description: string, softdeps = false): Command => {
    const command = graph.command(usage).description(description)
      .option('--lab <file>', 'the tree this lab file selects; all modules without')
      .option('--builtin', 'count built-in modules as part of the tree')
      .option('--json', 'answer as data');
    return softdeps ? command.option('--softdeps', 'count softdeps as needs') : command;
  };
  question('why <module> <needed>', 'why a module brings in another: a shortest chain of needs, with the symbols that force each', true)
    .action(async (a: string, b: string, options: QuestionOptions) => out(await whyAnswer(a, b, options)));
  question('impact <module>', 'what breaks or degrades without a module, nearest first, and the hardware that loses its driver')
    .action(async (module: string, options: QuestionOptions) => out(await impactAnswer(module, options)));
  question('cycles', 'modules that need each other, with a shortest way around each knot', true)
    .action(async (options: QuestionOptions) => out(await cyclesAnswer(options)));
  question('symbols <pattern>', 'who exports the symbols of a name, or of a shell pattern, and who uses them')
    .action(async (pattern: string, options: QuestionOptions) => out(await symbolsAnswer(pattern, options)));
  question('unused-exports', 'exported symbols that no module of the tree needs')
    .action(async (options: QuestionOptions) => out(await unusedExportsAnswer(options)));
  question('diff <lab> <other>', 'what differs between the trees two lab files select')
    .action(async (a: string, b: string, options: QuestionOptions) => out(await diffAnswer(a, b, options)));
}
