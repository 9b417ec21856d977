/** `insmod(8)`, `rmmod(8)` and `lsmod(8)` of kmod 30. */
import type { ErrnoName } from '@vdpalab/abi';
import { getopt } from './getopt.ts';
import { sysfsOrder } from './hash.ts';
import { LIBKMOD, Messages } from './messages.ts';
import { moduleName } from './names.ts';
import { modulesDir, moduleState, readIndex } from './system.ts';
import type { KmodSystem } from './system.ts';

const COMMON = { 'syslog': 's', 'verbose': 'v', 'version': 'V', 'help': 'h' } as const;

/** What insmod says instead of `strerror`. */
const INSMOD_TEXT: Partial<Record<ErrnoName, string>> = {
  ENOEXEC: 'Invalid module format', ENOENT: 'Unknown symbol in module', ESRCH: 'Module has wrong symbol version', EINVAL: 'Invalid parameters',
};

/** Load one file, without its dependencies. @param argv without the program's name. @returns exit status */
export async function insmod(argv: readonly string[], sys: KmodSystem): Promise<number> {
  const log = new Messages('insmod', sys);
  const { options, operands, error } = getopt(argv, { short: 'psfvVh', long: { ...COMMON, force: 'f' } });
  const has = (name: string): boolean => options.some((o) => o.name === name);
  if (error !== null) {
    log.usage(error);
    return 1;
  }
  if (has('h') || has('V')) {
    sys.out(has('h') ? 'insmod [-f] FILE [PARAM=VALUE...] - load one module file\n' : 'kmod version 30\n');
    return 0;
  }
  const [file, ...args] = operands;
  if (file === undefined) {
    log.say('ERROR', 'missing filename.');
    return 1;
  }
  if (!(await sys.exists(file))) {
    log.say('ERROR', `could not load module ${file}: ${sys.strerror('ENOENT')}`);
    return 1;
  }
  const errno = await sys.insert(file, args.join(' '), has('f') ? 3 : 0);
  if (errno === 0) return 0;
  log.say('ERROR', `could not insert module ${file}: ${INSMOD_TEXT[errno] ?? sys.strerror(errno)}`);
  return 1;
}

/** Remove modules, one after the other. @param argv without the program's name. @returns exit status */
export async function rmmod(argv: readonly string[], sys: KmodSystem): Promise<number> {
  const log = new Messages('rmmod', sys);
  const { options, operands, error } = getopt(argv, { short: 'fsvVwh', long: { ...COMMON, force: 'f' } });
  const has = (name: string): boolean => options.some((o) => o.name === name);
  if (error !== null) {
    log.usage(error);
    return 1;
  }
  if (has('w')) {
    log.say('ERROR', "unexpected getopt_long() value 'w'.");
    return 1;
  }
  if (has('h') || has('V')) {
    sys.out(has('h') ? 'rmmod [-f] MODULE... - remove modules\n' : 'kmod version 30\n');
    return 0;
  }
  if (operands.length === 0) {
    log.say('ERROR', 'missing module name.');
    return 1;
  }
  const index = await readIndex(sys, modulesDir(sys.release));
  let status = 0;
  for (const operand of operands) {
    const name = moduleName(operand);
    if (!has('f')) {
      const refusal = inUse(sys, name, moduleState(sys, index, name) === 'builtin');
      if (refusal !== null) {
        if (refusal !== '') log.say('ERROR', refusal);
        status = 1;
        continue;
      }
    }
    const errno = await sys.remove(name, 0o4000 | (has('f') ? 0o1000 : 0));
    if (errno === 0) continue;
    log.say('ERROR', `${LIBKMOD.removeModule} could not remove '${name}': ${sys.strerror(errno)}`);
    log.say('ERROR', `could not remove module ${name}: ${sys.strerror(errno)}`);
    status = 1;
  }
  return status;
}

/** Why rmmod does not even try; empty for a module on its way out, of which it says nothing. */
function inUse(sys: KmodSystem, name: string, builtin: boolean): string | null {
  if (builtin) return `Module ${name} is builtin.`;
  const module = sys.loaded().find((m) => m.name === name);
  if (module === undefined) return `Module ${name} is not currently loaded`;
  if (module.holders.length > 0) return `Module ${name} is in use by: ${sysfsOrder(module.holders).join(' ')}`;
  if (module.refcnt > 0) return `Module ${name} is in use`;
  return module.refcnt < 0 ? '' : null;
}

/** Print what is loaded. @returns exit status */
export async function lsmod(argv: readonly string[], sys: KmodSystem): Promise<number> {
  if (argv.length > 0) {
    sys.err('Usage: lsmod\n');
    return 1;
  }
  const rows = sys.loaded().map((m) => {
    const holders = m.holders.length === 0 ? '' : ` ${sysfsOrder(m.holders).join(',')}`;
    return `${m.name.padEnd(19)} ${String(m.size).padStart(8)}  ${m.refcnt}${holders}\n`;
  });
  sys.out(`Module                  Size  Used by\n${rows.join('')}`);
  return 0;
}
