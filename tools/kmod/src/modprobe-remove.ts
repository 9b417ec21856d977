/** `modprobe -r`. */
import type { ErrnoName } from '@vdpalab/abi';
import { firstFor } from './config.ts';
import { sysfsOrder } from './hash.ts';
import { lookup } from './lookup.ts';
import { LIBKMOD } from './messages.ts';
import type { ModprobeRun } from './modprobe.ts';
import { moduleName } from './names.ts';
import { moduleState } from './system.ts';

/** `O_NONBLOCK` and `O_TRUNC`, as delete_module takes them. */
const NONBLOCK = 0o4000;
const FORCE = 0o1000;

/** Remove what the names lead to; all are tried. @returns exit status */
export async function removeModules(run: ModprobeRun, names: readonly string[]): Promise<number> {
  let status = 0;
  for (const name of names) {
    const found = lookup(name, run.index, run.config);
    if (found.length === 0) {
      run.log.say(run.gravest, `Module ${name} not found.`);
      status = 1;
    }
    for (const { module } of found) {
      if (await removeOne(run, module, run.has('remove-holders'), false)) continue;
      status = 1;
      break;
    }
  }
  return status;
}

/** @param inList whether it is a softdep or a holder: a built-in one is then no error. @returns whether it went well */
async function removeOne(run: ModprobeRun, module: string, withHolders: boolean, inList: boolean): Promise<boolean> {
  const { sys, index, config, log, has } = run;
  const plain = has('i');
  const soft = plain ? undefined : firstFor(config.softdeps, module);
  const command = plain ? undefined : firstFor(config.removes, module);
  if (command === undefined) {
    const state = moduleState(sys, index, module);
    if (state === null) {
      if (has('first-time')) log.say(run.gravest, `Module ${module} is not in kernel.`);
      return !has('first-time');
    }
    if (state === 'builtin') {
      if (!inList) log.say(run.gravest, `Module ${module} is builtin.`);
      return inList;
    }
  }
  await removeList(run, soft?.post ?? []);
  if (withHolders) {
    const holders = sysfsOrder(sys.loaded().find((m) => m.name === module)?.holders ?? []);
    for (const holder of holders.reverse()) if (!(await removeOne(run, holder, false, true))) return false;
  }
  if (command !== undefined) {
    if (!(await runRemove(run, module, command.text))) return false;
  } else {
    if (run.waitMs === 0 && (sys.loaded().find((m) => m.name === module)?.refcnt ?? 0) > 0) {
      log.say(run.gravest, `Module ${module} is in use.`);
      return false;
    }
    if (!(await rmmod(run, module))) return false;
    // One pass, deepest first: what becomes free behind it stays.
    for (const dep of [...(index.modules.get(module)?.deps ?? [])].reverse().map(moduleName)) {
      if (sys.loaded().find((m) => m.name === dep)?.refcnt === 0) await rmmod(run, dep);
    }
  }
  await removeList(run, soft?.pre ?? []);
  return true;
}

/** Soft dependencies in reverse; errors do not count. */
async function removeList(run: ModprobeRun, names: readonly string[]): Promise<void> {
  for (const name of [...names].reverse()) {
    for (const { module } of lookup(name, run.index, run.config)) await removeOne(run, module, false, true);
  }
}

async function rmmod(run: ModprobeRun, module: string): Promise<boolean> {
  const { sys, log, has } = run;
  if (has('v')) log.show(`rmmod ${module}`);
  if (has('n')) return true;
  const flags = NONBLOCK | (has('f') ? FORCE : 0);
  let errno: ErrnoName | 0 = await sys.remove(module, flags);
  for (let waited = 0, pause = 1; errno === 'EAGAIN' && waited < run.waitMs && sys.sleep !== undefined; waited += pause, pause *= 2) {
    await sys.sleep(Math.min(pause, run.waitMs - waited));
    errno = await sys.remove(module, flags);
  }
  if (errno === 0) return true;
  log.say('ERROR', run.waitMs > 0 ? `could not remove '${module}': ${sys.strerror(errno)}` : `${LIBKMOD.removeModule} could not remove '${module}': ${sys.strerror(errno)}`);
  return false;
}

async function runRemove(run: ModprobeRun, module: string, text: string): Promise<boolean> {
  const command = text.replaceAll('$CMDLINE_OPTS', '');
  if (run.has('v')) run.log.show(`remove ${command}`);
  if (run.has('n')) return true;
  const status = await run.sys.runCommand(command, run.commandEnv(module));
  if (status !== 0) run.log.say(run.gravest, `Error running remove command for ${module}`);
  return status === 0;
}
