/** `modprobe -r`. */
import type { ErrnoName } from '@vdpalab/abi';
import { firstFor } from './config.ts';
import { sysfsOrder } from './hash.ts';
import { lookup } from './lookup.ts';
import { LIBKMOD } from './messages.ts';
import type { ModprobeRun } from './modprobe.ts';
import { moduleName, normalizeAlias } from './names.ts';
import { moduleState } from './system.ts';

/** `O_NONBLOCK` and `O_TRUNC`, as delete_module takes them. */
const NONBLOCK = 0o4000;
const FORCE = 0o1000;

/** How a module came to be removed: asked for, or because another one is. */
type Role = 'asked' | 'holder' | 'softdep';

/** What is to be done about a module. */
type Verdict =
  | { readonly act: 'nothing' }
  | { readonly act: 'refuse'; readonly text: string }
  | { readonly act: 'command'; readonly text: string }
  | { readonly act: 'delete' };

/** Remove what the names lead to; all are tried. @returns exit status */
export async function removeModules(run: ModprobeRun, names: readonly string[]): Promise<number> {
  let status = 0;
  for (const name of names) if (!(await removeRequest(run, name))) status = 1;
  return status;
}

/** All modules a name leads to, up to the first that stays. */
async function removeRequest(run: ModprobeRun, name: string): Promise<boolean> {
  if (normalizeAlias(name) === null) return false;
  const found = lookup(name, run.index, run.config);
  if (found.length === 0) run.log.say(run.gravest, `Module ${name} not found.`);
  for (const { module } of found) if (!(await remove(run, module, 'asked'))) return false;
  return found.length > 0;
}

/**
 * One module with what goes before and after it.
 *
 * Before: its post softdeps and, if asked for, its holders. After: the dependencies nobody else uses, then its pre softdeps.
 *
 * @returns whether it is gone
 */
async function remove(run: ModprobeRun, module: string, role: Role): Promise<boolean> {
  const verdict = judge(run, module, role);
  if (verdict.act === 'refuse') run.log.say(run.gravest, verdict.text);
  if (verdict.act === 'refuse' || verdict.act === 'nothing') return verdict.act === 'nothing';
  const soft = run.has('i') ? undefined : firstFor(run.config.softdeps, module);
  await removeSoft(run, soft?.post ?? []);
  if (role === 'asked' && run.has('remove-holders') && !(await removeHolders(run, module))) return false;
  const gone = verdict.act === 'command' ? await runCommand(run, module, verdict.text) : await removeIdle(run, module);
  if (!gone) return false;
  if (verdict.act === 'delete') await removeUnused(run, module);
  await removeSoft(run, soft?.pre ?? []);
  return true;
}

/** A remove command counts whatever the module's state is. */
function judge({ sys, index, config, has }: ModprobeRun, module: string, role: Role): Verdict {
  const command = has('i') ? undefined : firstFor(config.removes, module);
  if (command !== undefined) return { act: 'command', text: command.text };
  switch (moduleState(sys, index, module)) {
    case null: return has('first-time') ? { act: 'refuse', text: `Module ${module} is not in kernel.` } : { act: 'nothing' };
    case 'builtin': return role === 'asked' ? { act: 'refuse', text: `Module ${module} is builtin.` } : { act: 'nothing' };
    default: return { act: 'delete' };
  }
}

/** Last first; what fails does not count. */
async function removeSoft(run: ModprobeRun, names: readonly string[]): Promise<void> {
  const modules = names.flatMap((name) => lookup(name, run.index, run.config)).map((f) => f.module);
  for (const module of modules.reverse()) await remove(run, module, 'softdep');
}

/** Those that hold it directly, in the reverse of their directory's order; their own holders stay. */
async function removeHolders(run: ModprobeRun, module: string): Promise<boolean> {
  for (const holder of sysfsOrder(loaded(run, module)?.holders ?? []).reverse()) if (!(await remove(run, holder, 'holder'))) return false;
  return true;
}

/** Dependencies from the deepest on, in one pass: what only becomes free behind it stays. */
async function removeUnused(run: ModprobeRun, module: string): Promise<void> {
  const deps = (run.index.modules.get(module)?.deps ?? []).map(moduleName);
  for (const dep of deps.reverse()) if (loaded(run, dep)?.refcnt === 0) await removeIdle(run, dep);
}

const loaded = (run: ModprobeRun, module: string) => run.sys.loaded().find((m) => m.name === module);

/** The module itself, once nobody uses it. */
async function removeIdle(run: ModprobeRun, module: string): Promise<boolean> {
  const { sys, log, has, waitMs } = run;
  if (waitMs === 0 && (loaded(run, module)?.refcnt ?? 0) > 0) {
    log.say(run.gravest, `Module ${module} is in use.`);
    return false;
  }
  if (run.verbose) log.show(`rmmod ${module}`);
  if (has('n')) return true;
  const errno = await deleteModule(run, module);
  if (errno === 0) return true;
  log.say('ERROR', `${waitMs > 0 ? '' : `${LIBKMOD.removeModule} `}could not remove '${module}': ${sys.strerror(errno)}`);
  return false;
}

/** `delete_module`; with `-w` again and again, each time after twice the pause, until the time is over. */
async function deleteModule({ sys, has, waitMs }: ModprobeRun, module: string): Promise<ErrnoName | 0> {
  const attempt = (): Promise<ErrnoName | 0> => sys.remove(module, NONBLOCK | (has('f') ? FORCE : 0));
  let errno = await attempt();
  for (let left = waitMs, pause = 1; errno === 'EAGAIN' && left > 0 && sys.sleep !== undefined; left -= pause, pause *= 2) {
    await sys.sleep(Math.min(pause, left));
    errno = await attempt();
  }
  return errno;
}

async function runCommand(run: ModprobeRun, module: string, text: string): Promise<boolean> {
  const command = text.replaceAll('$CMDLINE_OPTS', '');
  if (run.verbose) run.log.show(`remove ${command}`);
  if (run.has('n')) return true;
  await run.sys.flush?.();
  if (await run.sys.runCommand(command, run.commandEnv(module)) === 0) return true;
  run.log.say(run.gravest, `Error running remove command for ${module}`);
  return false;
}
