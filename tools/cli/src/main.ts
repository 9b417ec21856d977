#!/usr/bin/env node
/** The `vdpalab` command. */
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { LabFileError, labJsonSchema } from '@vdpalab/lab';
import { TranscriptError } from '@vdpalab/shell';
import { Command, InvalidArgumentError, Option } from 'commander';
import { graphOf } from './commands/graph.ts';
import { recordScript } from './commands/record.ts';
import { runTranscript } from './commands/run.ts';
import { interactive } from './commands/shell.ts';
import { graphFormats, type GraphFormat } from './graph.ts';

/** The scenario `npm start` runs. */
const flagship = fileURLToPath(new URL('../../../test/scenarios/flagship.txt', import.meta.url));

/** Exit statuses: something differs or leaked; a file or option is wrong. */
const DIFFERS = 1;
const BAD_INPUT = 2;

const out = (text: string): void => void process.stdout.write(text);
const err = (text: string): void => void process.stderr.write(text);

function wholeNumber(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('not a whole number');
  return Number(text);
}

const labOption = () => new Option('--lab <file>', 'lab file, instead of the transcript\'s own');
const seedOption = () => new Option('--seed <number>', 'chooses among what may run, instead of the lab file\'s').argParser(wholeNumber);

const program = new Command('vdpalab')
  .description("Linux's vDPA world, from the module loader to the DMA engine, in one process")
  .version('0.1.0')
  .showHelpAfterError();

program.command('run')
  .description('play transcripts and compare what each command does with what they say')
  .argument('<file...>')
  .addOption(labOption()).addOption(seedOption())
  .option('-v, --verbose', 'print everything, not only what differs')
  .option('--report <file>', 'write an HTML report of the run')
  .option('--trace <file>', 'write every kick, DMA and interrupt with its cause, as JSON lines')
  .action(async (files: string[], options: { lab?: string; seed?: number; verbose?: boolean; report?: string; trace?: string }) => {
    let good = true;
    for (const file of files) {
      const { commands, equal, left } = await runTranscript(file, { ...options, out, err });
      good &&= commands === equal && left.length === 0;
    }
    process.exitCode = good ? 0 : DIFFERS;
  });

program.command('flagship')
  .description('run the main job: modules, virtual functions, both bus drivers, recorded frames bit for bit')
  .addOption(seedOption())
  .option('--report <file>', 'where to write the HTML report', 'out/report.html')
  .option('--quiet', 'print only the summary')
  .action(async (options: { seed?: number; report: string; quiet?: boolean }) => {
    const { commands, equal, left } = await runTranscript(flagship, { ...options, verbose: options.quiet !== true, out, err });
    err(`report: ${options.report}\n`);
    process.exitCode = commands === equal && left.length === 0 ? 0 : DIFFERS;
  });

program.command('record')
  .description('run the commands of a script or transcript and print the transcript')
  .argument('<script>')
  .addOption(labOption()).addOption(seedOption())
  .action(async (script: string, options: { lab?: string; seed?: number }) => {
    const left = await recordScript(script, { ...options, out });
    for (const what of left) err(`left behind: ${what}\n`);
    process.exitCode = left.length === 0 ? 0 : DIFFERS;
  });

program.command('shell')
  .description('type commands into a lab')
  .addOption(new Option('--lab <file>', 'lab file')).addOption(seedOption())
  .option('--dmesg', 'show the kernel log as it comes', false)
  .action(async (options: { lab?: string; seed?: number; dmesg: boolean }) => {
    process.exitCode = await interactive({ ...options, input: process.stdin, out, err });
  });

program.command('graph')
  .description('draw a lab: which module needs which, or the layers from processes to hardware')
  .addArgument(program.createArgument('<what>', 'what to draw').choices(['modules', 'devices']))
  .addOption(new Option('--format <format>', 'how to write it').choices(graphFormats).default('text'))
  .addOption(new Option('--lab <file>', 'lab file'))
  .option('--after <script>', 'run the commands of a script first')
  .option('--until <line>', 'stop the script in front of this line', wholeNumber)
  .action(async (what: 'modules' | 'devices', options: { format: GraphFormat; lab?: string; after?: string; until?: number }) => {
    out(await graphOf({ what, ...options }));
  });

program.command('schema')
  .description('print the JSON Schema of lab files, for editors')
  .option('-o, --output <file>', 'write it there')
  .action((options: { output?: string }) => {
    const text = `${JSON.stringify(labJsonSchema(), null, 2)}\n`;
    if (options.output === undefined) out(text);
    else writeFileSync(options.output, text);
  });

try {
  await program.parseAsync();
} catch (error) {
  const isInput = error instanceof LabFileError || error instanceof TranscriptError || (error as { code?: string }).code === 'ENOENT';
  err(`vdpalab: ${isInput ? (error as Error).message : (error as Error).stack ?? String(error)}\n`);
  process.exitCode = isInput ? BAD_INPUT : 70;
}
