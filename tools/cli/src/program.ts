/** The `vdpalab` command line: its commands, arguments and options. */
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { labJsonSchema } from '@vdpalab/lab';
import { familyNames, isFamilyName, usualFamilies, type FamilyName } from '@vdpalab/launcher';
import { Command, InvalidArgumentError, Option } from 'commander';
import { execProgram } from './commands/exec.ts';
import { explainAll } from './commands/explain.ts';
import { addGraph } from './commands/graph-command.ts';
import { mountCommand } from './commands/mount.ts';
import { joinShell } from './commands/join.ts';
import { recordScript } from './commands/record.ts';
import { runTranscript } from './commands/run.ts';
import { interactive } from './commands/shell.ts';
import { buildModule, moduleFolder, sourceChanges } from './commands/source-changes.ts';
import { DEFAULT_NAME, down, status, up, upForeground } from './commands/up.ts';
import { serveVhostUser } from './commands/vhost-user.ts';
import { watch } from './commands/watch.ts';

/** The scenario `npm start` runs. */
const flagship = fileURLToPath(new URL('../../../test/scenarios/flagship.txt', import.meta.url));

/** What to do after it, for who has seen it for the first time. */
const NEXT = `next:
  npx vdpalab shell --lab test/scenarios/flagship.yaml   type commands into that machine; after one that fails: explain
  npx vdpalab graph why vhost_vdpa vhost                 which module needs which, and by what symbols
  docs/guides/writing-a-scenario.md                      a machine and a transcript of your own
  docs/guides/first-module.md                            a kernel module of your own
`;

/** Something differs, or was left behind. */
const DIFFERS = 1;

/** Where the command prints, and how it says its exit status. */
export interface CommandIo {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  readonly input: NodeJS.ReadableStream & { readonly isTTY?: boolean };
  readonly exit: (status: number) => void;
}

function trapKinds(text: string): readonly FamilyName[] {
  const names = text.split(',');
  if (!names.every(isFamilyName)) throw new InvalidArgumentError(`must be of ${familyNames.join(', ')}.`);
  return names;
}

function wholeNumber(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('not a whole number');
  return Number(text);
}

const labOption = () => new Option('--lab <file>', 'lab file, instead of the transcript\'s own');
const seedOption = () => new Option('--seed <number>', 'chooses among what may run, instead of the lab file\'s').argParser(wholeNumber);

/** May be given several times; one rule each, so that a file may follow. */
const failOption = () => new Option('--fail <rule>', 'what fails on purpose, may be repeated: MODULE:WHAT[:N][=ERRNO], such as ifcvf:probe:3=ENOMEM')
  .argParser((rule: string, before: readonly string[] | undefined) => [...(before ?? []), rule]);

/** The whole command. Reads nothing and prints nothing until it is parsed. */
export function vdpalab({ out, err, input, exit }: CommandIo): Command {
  const program = new Command('vdpalab')
    .description("Linux's vDPA world, from the module loader to the DMA engine, in one process")
    .version('0.1.0')
    .enablePositionalOptions()
    .exitOverride()
    .configureOutput({ writeOut: out, writeErr: err, outputError: (text, write) => write(text.replace(/^error: /, 'vdpalab: ')) })
    .showHelpAfterError('vdpalab: `vdpalab --help` lists the commands, `vdpalab COMMAND --help` what one takes');

  program.command('run')
    .description('play transcripts and compare what each command does with what they say')
    .argument('<file...>')
    .addOption(labOption()).addOption(seedOption()).addOption(failOption())
    .option('-v, --verbose', 'print everything, not only what differs')
    .option('--real', 'in this machine\'s bash with its own programs, inside the lab; where that cannot be, in the lab\'s shell')
    .option('--explain', 'say of commands that differ why they were refused')
    .option('--report <file>', 'write an HTML report of the run')
    .option('--trace <file>', 'write every kick, DMA and interrupt with its cause, as JSON lines')
    .action(async (files: string[], options: { lab?: string; seed?: number; fail?: string[]; verbose?: boolean; real?: boolean; explain?: boolean; report?: string; trace?: string }) => {
      let good = true;
      for (const file of files) {
        const { commands, equal, left } = await runTranscript(file, { ...options, out, err });
        good &&= commands === equal && left.length === 0;
      }
      exit(good ? 0 : DIFFERS);
    });

  program.command('flagship')
    .description('run the main job: modules, virtual functions, both bus drivers, recorded frames bit for bit')
    .addOption(seedOption())
    .option('--report <file>', 'where to write the HTML report', 'out/report.html')
    .option('--quiet', 'print only the summary')
    .action(async (options: { seed?: number; report: string; quiet?: boolean }) => {
      const { commands, equal, left } = await runTranscript(flagship, { ...options, verbose: options.quiet !== true, out, err });
      err(`report: ${options.report}\n`);
      if (options.quiet !== true) err(NEXT);
      exit(commands === equal && left.length === 0 ? 0 : DIFFERS);
    });

  program.command('record')
    .description('run the commands of a script or transcript and print the transcript')
    .argument('<script>')
    .addOption(labOption()).addOption(seedOption()).addOption(failOption())
    .option('--real', 'in this machine\'s bash with its own programs, inside the lab')
    .action(async (script: string, options: { lab?: string; seed?: number; fail?: string[]; real?: boolean }) => {
      const left = await recordScript(script, { ...options, out, err });
      for (const what of left) err(`left behind: ${what}\n`);
      exit(left.length === 0 ? 0 : DIFFERS);
    });

  program.command('shell')
    .description('type commands into a lab')
    .addOption(new Option('--lab <file>', 'lab file')).addOption(seedOption()).addOption(failOption())
    .option('--name <name>', 'in a lab that is up, instead of one of its own')
    .option('--dmesg', 'show the kernel log as it comes', false)
    .action(async ({ name, ...options }: { name?: string; lab?: string; seed?: number; fail?: string[]; dmesg: boolean }) => {
      exit(name === undefined ? await interactive({ ...options, input, out, err }) : await joinShell(name, { input, out, err }));
    });

  program.command('exec')
    .description('run a program of this machine, unmodified, with the lab for its system; its exit status is the program\'s')
    .argument('<command...>')
    .option('--name <name>', 'a lab that is up; without, the one that is, or a lab made for this program')
    .addOption(new Option('--lab <file>', 'a lab made for this program, from this file')).addOption(seedOption()).addOption(failOption())
    .option('--trap', 'let the lab answer system calls of real programs that files cannot carry: netlink, modules, the log, VFIO devices')
    .option('--trap-only <kinds>', `of these kinds alone: ${familyNames.join(',')}`, trapKinds)
    .passThroughOptions()
    .action(async (argv: string[], options: { name?: string; lab?: string; seed?: number; fail?: string[]; trap?: true; trapOnly?: readonly FamilyName[] }) => {
      const { trap, trapOnly, ...others } = options;
      exit(await execProgram(argv, { ...others, trap: trapOnly ?? (trap === true ? usualFamilies : []), err }));
    });

  program.command('up')
    .description('start a lab in the background, for exec and shell')
    .option('--name <name>', 'what it is called', DEFAULT_NAME)
    .addOption(new Option('--lab <file>', 'lab file')).addOption(seedOption()).addOption(failOption())
    .option('--foreground', 'stay, and end at SIGTERM or `vdpalab down`')
    .addOption(new Option('--until-eof', 'end when standard input does').hideHelp())
    .action(async ({ foreground, ...options }: { name: string; lab?: string; seed?: number; fail?: string[]; foreground?: boolean; untilEof?: boolean }) => {
      if (foreground === true) exit(await upForeground(options, { out, err }));
      else await up(options, { out, err });
    });

  program.command('down')
    .description('end a lab that is up, and say what was left behind')
    .option('--name <name>', 'which', DEFAULT_NAME)
    .action(async (options: { name: string }) => exit(await down(options.name, { out, err })));

  program.command('status')
    .description('list the labs that are up')
    .action(async () => exit(await status({ out, err })));

  program.command('mount')
    .description("show a lab's files in an empty directory of the host, until Ctrl-C or umount; needs root and /dev/fuse")
    .argument('<dir>')
    .addOption(new Option('--lab <file>', 'lab file')).addOption(seedOption()).addOption(failOption())
    .addOption(new Option('--devices <kind>', 'device nodes as regular files, which take ioctls, or as devices, to be looked at').choices(['file', 'device']).default('file'))
    .action(async (dir: string, options: { lab?: string; seed?: number; fail?: string[]; devices: 'file' | 'device' }) => {
      const left = await mountCommand(dir, { ...options, out, err });
      exit(left.length === 0 ? 0 : DIFFERS);
    });

  program.command('vhost-user')
    .description('serve vDPA devices of a lab to vhost-user front-ends: QEMU, DPDK; without a command, read commands')
    .argument('[command...]', 'create SOCKET DEVICE: serve DEVICE, a vDPA device or ADDRESS,vdpa=1 of a function that vfio-pci has, until Ctrl-C; list: the devices there are')
    .addOption(new Option('--lab <file>', 'lab file; without one, a lab with vdpa0 and vdpa1, two virtual functions on a switch')).addOption(seedOption()).addOption(failOption())
    .option('--setup <file>', "shell commands that make the devices; without one and without a lab file, the lab's own")
    .option('-v, --verbose', 'say what front-ends ask')
    .action(async (command: string[], options: { lab?: string; seed?: number; fail?: string[]; setup?: string; verbose?: boolean }) => {
      exit(await serveVhostUser(command, { ...options, input, out, err }));
    });

  program.command('watch')
    .description('load a module into a lab and, whenever its source changes, build it, load the new one and play a scenario again')
    .argument('<module>', 'package of the module, such as vdpa-core')
    .option('--scenario <file>', 'transcript to play; without one the module is only loaded')
    .addOption(labOption())
    .action(async (module: string, options: { scenario?: string; lab?: string }) => {
      const good = await watch(module, { ...options, out, changes: sourceChanges(moduleFolder(module)), build: buildModule });
      exit(good ? 0 : DIFFERS);
    });

  program.command('explain')
    .description('say why a call was refused and what would have worked: of commands, of transcripts, of a rule, of a message')
    .argument('[what...]', 'a transcript, a rule such as module.unload.users, or a message of a tool')
    .option('-c, --command <command...>', 'run these commands in a lab, and explain each')
    .addOption(labOption()).addOption(seedOption()).addOption(failOption())
    .action(async (what: string[], options: { command?: string[]; lab?: string; seed?: number; fail?: string[] }) => {
      if (what.length === 0 && options.command === undefined) program.error("error: name a rule, a transcript, or commands with -c");
      await explainAll(what, { ...options, out });
    });

  addGraph(program, out);

  program.command('schema')
    .description('print the JSON Schema of lab files, for editors')
    .option('-o, --output <file>', 'write it there')
    .action((options: { output?: string }) => {
      const text = `${JSON.stringify(labJsonSchema(), null, 2)}\n`;
      if (options.output === undefined) out(text);
      else writeFileSync(options.output, text);
    });

  return program;
}
