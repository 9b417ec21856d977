/** Loads modules as modprobe does: the plan is kmod's, the loading `init_module`'s. */
import type { Lab, UserProcess } from '@vdpalab/lab';
import { ModuleIndex, parseConfig, resolve } from '@vdpalab/kmod';

/** Load a module and what it needs, from inside a task of `p`. @throws KernelError what `init_module` throws */
export async function modprobe(lab: Lab, p: UserProcess, name: string): Promise<void> {
  const dir = `/lib/modules/${lab.config.release}`;
  const text = (file: string): Promise<string> => p.readFile(`${dir}/modules.${file}`);
  const index = ModuleIndex.ofTexts(dir, {
    dep: await text('dep'), alias: await text('alias'), symbols: await text('symbols'),
    builtin: await text('builtin'), builtinModinfo: await text('builtin.modinfo'),
  });
  const isLoaded = (module: string): boolean => lab.loader.modules().some((m) => m.name === module);
  const config = parseConfig([{ path: `${dir}/modules.softdep`, text: await text('softdep') }]);
  const plan = resolve({ name }, { index, config, isLoaded });
  if (plan.modules.length === 0) throw new Error(`modprobe: module ${name} not found in directory ${dir}`);
  for (const { steps } of plan.modules) {
    for (const step of steps) {
      if (step.kind === 'insmod' && step.path !== null && !isLoaded(step.module)) await insmod(lab, step.path);
    }
  }
}

/** `insmod PATH`, inside a task. */
export async function insmod(lab: Lab, path: string): Promise<void> {
  await lab.symbol('init_module')({ path }, '', 0);
}

/** Path of a module's file in the lab. @throws Error for one that is not in its tree */
export function moduleFile(lab: Lab, name: string): string {
  const path = lab.builtModules.find((m) => m.info.name === name)?.info.path ?? null;
  if (path === null) throw new Error(`${name} is not in the lab's module tree`);
  return `/lib/modules/${lab.config.release}/${path}`;
}
