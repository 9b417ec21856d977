/** `modprobe(8)` of kmod 30. */
import type { ErrnoName } from '@vdpalab/abi';
import { configErrorText, configText } from './config.ts';
import type { Config } from './config.ts';
import { readModule } from './elf/index.ts';
import { getopt } from './getopt.ts';
import { MODPROBE_HELP, VERSION_TEXT } from './help.ts';
import { lookup } from './lookup.ts';
import { DEFAULT_VERBOSITY, LIBKMOD, Messages, verbosityOf } from './messages.ts';
import type { MessageLevel } from './messages.ts';
import type { ModuleIndex } from './modindex.ts';
import { removeModules } from './modprobe-remove.ts';
import { planModule } from './plan.ts';
import type { ModulePlan, PlanStep } from './plan.ts';
import { absolutePath, moduleState, modulesDir, readConfig, readIndex, tooShort } from './system.ts';
import type { KmodSystem } from './system.ts';

const OPTIONS = {
  short: 'arw:RibfDcnC:d:S:sqvVh',
  long: {
    'all': 'a', 'remove': 'r', 'remove-dependencies': 'remove-holders', 'remove-holders': 'remove-holders', 'wait': 'w:',
    'resolve-alias': 'R', 'first-time': 'first-time', 'ignore-install': 'i', 'ignore-remove': 'i', 'use-blacklist': 'b',
    'force': 'f', 'force-modversion': 'force-modversion', 'force-vermagic': 'force-vermagic', 'show-depends': 'D',
    'showconfig': 'c', 'show-config': 'c', 'show-modversions': 'dump-modversions', 'dump-modversions': 'dump-modversions',
    'show-exports': 'show-exports', 'dry-run': 'n', 'show': 'n', 'config': 'C:', 'dirname': 'd:', 'set-version': 'S:',
    'syslog': 's', 'quiet': 'q', 'verbose': 'v', 'version': 'V', 'help': 'h',
  },
} as const;

/** Nested install commands are cut off here; the kernel allows as many modprobes at once. */
const DEPTH_LIMIT = 50;
/** Until then whoever waits has had time to end it, as one must on a real machine, where it goes on for ever. */
const PATIENCE_MS = 60_000;
/** Address of libkmod's context, which it prints; any will do. */
const CONTEXT = '0x55d3c0de42a0';

/** One run of modprobe. */
export interface ModprobeRun {
  readonly sys: KmodSystem;
  readonly index: ModuleIndex;
  readonly config: Config;
  readonly log: Messages;
  readonly has: (option: string) => boolean;
  /** Environment of install and remove commands. */
  readonly commandEnv: (module: string) => Readonly<Record<string, string>>;
  /** `-v`, and no `-q` after it: what is done is printed. */
  readonly verbose: boolean;
  /** How what kmod calls critical is said: it ends the program, unless -a made it a warning. */
  readonly gravest: MessageLevel;
  /** `-w`, in milliseconds; 0 without. */
  readonly waitMs: number;
}

/**
 * Run modprobe.
 *
 * @param argv without the program's name
 * @returns exit status
 */
export async function modprobe(argv: readonly string[], sys: KmodSystem): Promise<number> {
  const log = new Messages('modprobe', sys);
  const words = [...(sys.env['MODPROBE_OPTIONS'] ?? '').split(/\s+/).filter((w) => w !== ''), ...argv];
  const { options, operands, error } = getopt(words, OPTIONS);
  const has = (name: string): boolean => options.some((o) => o.name === name);
  const values = (name: string): string[] => options.flatMap((o) => (o.name === name && o.value !== null ? [o.value] : []));
  for (const { name, value } of options) {
    if (name === 'h' || name === 'V') {
      sys.out(name === 'h' ? MODPROBE_HELP : VERSION_TEXT);
      return 0;
    }
    if (name !== 'w' || /^\d+$/.test(value ?? '')) continue;
    log.say('ERROR', `unexpected wait value '${value}'.`);
    return 1;
  }
  if (error !== null) {
    log.usage(error);
    return 1;
  }
  log.verbosity = verbosityOf(options);
  log.syslog = has('s');
  const dirname = modulesDir(values('S').at(-1) ?? sys.release, absolutePath(sys, values('d').at(-1) ?? ''));
  const paths = has('C') ? values('C') : null;
  const config = await readConfig(sys, dirname, paths);
  for (const bad of config.errors) sys.err(`${configErrorText(bad)}\n`);
  const depth = Number(sys.env['MODPROBE_DEPTH'] ?? 0);
  const exported = [...(paths ?? []).map((path) => `-C ${path}`), ...(has('q') ? ['-q'] : []), ...(has('v') ? ['-v'] : []), ...(has('s') ? ['-s'] : [])];
  const run: ModprobeRun = {
    sys, config, log, has,
    verbose: log.verbosity > DEFAULT_VERBOSITY,
    gravest: has('a') ? 'WARNING' : 'FATAL',
    index: await readIndex(sys, dirname),
    waitMs: Number(values('w').at(-1) ?? 0),
    commandEnv: (module) => ({ MODPROBE_MODULE: module, MODPROBE_OPTIONS: exported.join(' '), MODPROBE_DEPTH: String(depth + 1) }),
  };
  return log.run(() => dispatch(run, operands, depth));
}

async function dispatch(run: ModprobeRun, operands: readonly string[], depth: number): Promise<number> {
  const { has, log, sys, config, index } = run;
  const [first, ...rest] = operands;
  if (has('c')) {
    sys.out(`${configText(config)}\n# End of configuration files. Dumping indexes now:\n\n${index.dump().map((l) => `${l}\n`).join('')}`);
    return 0;
  }
  if (first === undefined) {
    log.say('ERROR', 'missing parameters. See -h.');
    return 1;
  }
  if (depth > DEPTH_LIMIT) {
    await sys.sleep?.(PATIENCE_MS);
    log.say('ERROR', `install commands are nested more than ${DEPTH_LIMIT} deep`);
    return 1;
  }
  if (has('show-exports') || has('dump-modversions')) return showSymbols(run, first, has('show-exports'));
  if (has('r')) return removeModules(run, operands);
  if (!has('a')) return load(run, first, joinOptions(rest));
  let status = 0;
  for (const name of operands) if (await load(run, name, '') !== 0) status = 1;
  return status;
}

/** Load what a name leads to. @returns exit status: that of the last module found */
async function load(run: ModprobeRun, name: string, options: string): Promise<number> {
  const { sys, index, log, has } = run;
  const gone = new Set<string>();
  for (const m of index.modules.values()) if (!(await sys.exists(index.absolute(m.path)))) gone.add(index.absolute(m.path));
  const found = lookup(name, index, run.config);
  if (found.length === 0) {
    log.say(run.gravest, `Module ${name} not found in directory ${index.dirname}`);
    return 1;
  }
  const request = { name, options, ignoreCommands: has('i'), useBlacklist: has('b'), ignoreLoaded: has('D') };
  const world = { index, config: run.config, isLoaded: (module: string) => inKernel(run, module), exists: (path: string) => !gone.has(path) };
  let status = 0;
  for (const one of found) {
    if (has('R')) {
      log.print(one.module);
      continue;
    }
    // Planned when its turn comes: an earlier module of the list may have loaded it.
    const failure = await execute(run, planModule(one, request, world));
    status = failure === null ? 0 : 1;
    if (failure !== null) log.say('ERROR', `could not insert '${one.module}': ${failure}`);
  }
  return status;
}

function inKernel(run: ModprobeRun, module: string): boolean {
  const state = moduleState(run.sys, run.index, module);
  return state === 'live' || state === 'builtin';
}

/** Carry out a plan. @returns why the module could not be inserted, or `null` */
async function execute(run: ModprobeRun, plan: ModulePlan): Promise<string | null> {
  const { log, has } = run;
  if (plan.verdict === 'already') return has('first-time') ? 'Module already in kernel' : null;
  if (plan.verdict === 'blacklisted') return null;
  for (const { path } of plan.missing) {
    for (let twice = 0; twice < 2; twice++) log.say('ERROR', `${LIBKMOD.parseDepline} ctx=${CONTEXT} path=${path} error=No such file or directory`);
  }
  for (const step of plan.steps) {
    const root = step.module === plan.found.module && step.origin === 'request';
    let errno: ErrnoName | 0 = 0;
    if (!has('D') && inKernel(run, step.module)) errno = 'EEXIST';
    else {
      if (has('D') || run.verbose) showStep(log, step);
      if (!has('D') && !has('n')) errno = await perform(run, step);
    }
    if (errno === 'EEXIST' && root && has('first-time')) return 'Module already in kernel';
    if (errno === 0 || errno === 'EEXIST' || !step.required) continue;
    return errno === 'ENOENT' ? 'Unknown symbol in module, or unknown parameter (see dmesg)' : run.sys.strerror(errno);
  }
  return null;
}

function showStep(log: Messages, step: PlanStep): void {
  if (step.kind === 'install') log.print(`install ${step.command ?? ''} ${step.options}`);
  else if (step.kind === 'insmod') log.print(`insmod ${step.path ?? ''} ${step.options}`);
  else if (step.kind === 'builtin') log.print(`builtin ${step.module}`);
}

async function perform(run: ModprobeRun, step: PlanStep): Promise<ErrnoName | 0> {
  const { sys, log, has } = run;
  if (step.kind === 'install') {
    const command = (step.command ?? '').replaceAll('$CMDLINE_OPTS', () => step.options);
    const status = await sys.runCommand(command, run.commandEnv(step.module));
    if (status === 0) return 0;
    log.say('ERROR', `${LIBKMOD.command} Error running install command '${command}' for module ${step.module}: retcode ${status}`);
    return 'EINVAL';
  }
  if (step.path === null) {
    log.say('ERROR', `${LIBKMOD.insertModule} could not find module by name='${step.module}'`);
    return 'ENOENT';
  }
  const unread = tooShort(await sys.readBytes(step.path));
  if (unread !== null) return unread;
  const force = has('f');
  return sys.insert(step.path, step.options, (force || has('force-modversion') ? 1 : 0) | (force || has('force-vermagic') ? 2 : 0));
}

/** Words of the command line as one parameter string; a value with a blank gets quotes. */
function joinOptions(words: readonly string[]): string {
  return words.map((word) => {
    const m = /^([^=]*=)([^"'].*)$/s.exec(word);
    return m?.[2]?.includes(' ') === true ? `${m[1]}"${m[2]}"` : word;
  }).join(' ');
}

async function showSymbols(run: ModprobeRun, file: string, exports: boolean): Promise<number> {
  const bytes = await run.sys.readBytes(file);
  if (bytes === null) {
    run.log.say(run.gravest, `Module ${file} not found.`);
    return 1;
  }
  const module = readModule(bytes);
  const found = typeof module === 'string' ? [] : exports ? module.exports : module.versions ?? [];
  if (found.length === 0) {
    run.log.say(run.gravest, `could not get ${exports ? 'symbols' : 'modversions'} of ${file}: ${run.sys.strerror(typeof module === 'string' ? module : 'ENOENT')}`);
    return 1;
  }
  for (const s of found) run.log.print(`0x${s.crc.toString(16).padStart(8, '0')}\t${s.name}`);
  return 0;
}
