/** `insmod(8)`, `rmmod(8)` and `lsmod(8)` of kmod 30. */
import type { ErrnoName } from '@vdpalab/abi';
import { getopt } from './getopt.ts';
import type { GivenOption } from './getopt.ts';
import { sysfsOrder } from './hash.ts';
import { INSMOD_HELP, RMMOD_HELP, VERSION_TEXT } from './help.ts';
import { LIBKMOD, Messages, verbosityOf } from './messages.ts';
import { moduleName } from './names.ts';
import { modulesDir, moduleState, readIndex, tooShort } from './system.ts';
import type { KmodSystem } from './system.ts';

/** What insmod says instead of `strerror`. */
const INSMOD_TEXT: Partial<Record<ErrnoName, string>> = {
  ENOEXEC: 'Invalid module format', ENOENT: 'Unknown symbol in module', ESRCH: 'Module has wrong symbol version', EINVAL: 'Invalid parameters',
};

/** Load one file, without its dependencies. @param argv without the program's name. @returns exit status */
export async function insmod(argv: readonly string[], sys: KmodSystem): Promise<number> {
  const log = new Messages('insmod', sys);
  const { options, operands, error } = getopt(argv, { short: 'psfVh', long: { version: 'V', help: 'h' } });
  const early = firstWord(options, error, sys, log, INSMOD_HELP);
  if (early !== null) return early;
  const [file, ...args] = operands;
  if (file === undefined) {
    log.say('ERROR', 'missing filename.');
    return 1;
  }
  const bytes = await sys.readBytes(file);
  const directory = bytes === null && (await sys.readdir(file)) !== null;
  if (file.endsWith('/') || (bytes === null && !directory)) {
    log.say('ERROR', `could not load module ${file}: ${sys.strerror('ENOENT')}`);
    return 1;
  }
  const unread = directory ? 'EISDIR' : tooShort(bytes);
  const errno = unread ?? await sys.insert(file, args.join(' '), options.some((o) => o.name === 'f') ? 3 : 0);
  if (errno === 0) return 0;
  log.say('ERROR', `could not insert module ${file}: ${INSMOD_TEXT[errno] ?? sys.strerror(errno)}`);
  return 1;
}

/** What options end a program at once: help, the version, or a mistake. @returns exit status; `null` to go on */
function firstWord(options: readonly GivenOption[], error: string | null, sys: KmodSystem, log: Messages, help: string): number | null {
  const asked = options.find(({ name }) => name === 'h' || name === 'V');
  if (asked !== undefined) {
    sys.out(asked.name === 'h' ? help : VERSION_TEXT);
    return 0;
  }
  if (error === null) return null;
  log.usage(error);
  return 1;
}

/** Remove modules, one after the other. @param argv without the program's name. @returns exit status */
export async function rmmod(argv: readonly string[], sys: KmodSystem): Promise<number> {
  const log = new Messages('rmmod', sys);
  const { options, operands, error } = getopt(argv, { short: 'fsvVwh', long: { force: 'f', syslog: 's', verbose: 'v', version: 'V', help: 'h' } });
  const wait = options.findIndex((o) => o.name === 'w');
  const early = firstWord(wait < 0 ? options : options.slice(0, wait), wait < 0 ? error : null, sys, log, RMMOD_HELP);
  if (early !== null) return early;
  if (wait >= 0) {
    log.say('ERROR', "unexpected getopt_long() value 'w'.");
    return 1;
  }
  const has = (name: string): boolean => options.some((o) => o.name === name);
  log.verbosity = verbosityOf(options);
  log.syslog = has('s');
  if (operands.length === 0) {
    log.say('ERROR', 'missing module name.');
    return 1;
  }
  const index = await readIndex(sys, modulesDir(sys.release));
  let status = 0;
  for (const operand of operands) {
    const name = moduleName(operand);
    if (!has('f') && !mayTry(sys, log, name, moduleState(sys, index, name) === 'builtin')) {
      status = 1;
      continue;
    }
    const errno = await sys.remove(name, 0o4000 | (has('f') ? 0o1000 : 0));
    if (errno === 0) continue;
    log.say('ERROR', `${LIBKMOD.removeModule} could not remove '${name}': ${sys.strerror(errno)}`);
    log.say('ERROR', `could not remove module ${name}: ${sys.strerror(errno)}`);
    status = 1;
  }
  return status;
}

/** Whether rmmod even tries; it says why not, except of a module on its way out. */
function mayTry(sys: KmodSystem, log: Messages, name: string, builtin: boolean): boolean {
  const module = sys.loaded().find((m) => m.name === name);
  const refuse = (text: string): false => {
    log.say('ERROR', text);
    return false;
  };
  if (builtin) return refuse(`Module ${name} is builtin.`);
  if (module === undefined) return refuse(`Module ${name} is not currently loaded`);
  const holders = sysfsOrder(module.holders).map((holder) => ` ${holder}`).join('');
  if (holders !== '') {
    // The names themselves go to standard error, whatever the rest of the line does.
    if (log.syslog) sys.syslog?.(`rmmod: ERROR: Module ${name} is in use by:`);
    sys.err(log.syslog ? `${holders}\n` : `rmmod: ERROR: Module ${name} is in use by:${holders}\n`);
    return false;
  }
  if (module.refcnt > 0) return refuse(`Module ${name} is in use`);
  return module.refcnt === 0;
}

/** Print what is loaded. @param name what it was called as. @returns exit status */
export async function lsmod(argv: readonly string[], sys: KmodSystem, name = 'lsmod'): Promise<number> {
  if (argv.length > 0) {
    sys.err(`Usage: ${name}\n`);
    return 1;
  }
  const rows = sys.loaded().map((m) => {
    const holders = m.holders.length === 0 ? '' : ` ${sysfsOrder(m.holders).join(',')}`;
    return `${m.name.padEnd(19)} ${String(m.size).padStart(8)}  ${m.refcnt}${holders}\n`;
  });
  sys.out(`Module                  Size  Used by\n${rows.join('')}`);
  return 0;
}
