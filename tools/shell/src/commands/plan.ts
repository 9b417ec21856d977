/** `modplan NAME...`: what modprobe would do for a name, and why each step is there. */
import { analyze, modulesDir, readConfig, readIndex, resolve, treeOf } from '@vdpalab/kmod';
import type { Applet } from '../program.ts';
import { kmodSystem } from './kmod.ts';

/** The program. Loaded modules are named too, as skipped. */
export const modplan: Applet = async (c) => {
  if (c.args.length === 0 || c.args[0] === '--help') {
    await c.err('usage: modplan MODULE...\n');
    return c.args.length === 0 ? 1 : 0;
  }
  const { modules } = c.system;
  if (modules === undefined) return c.fail('this kernel has no module loader');
  const errors: string[] = [];
  const sys = kmodSystem(c, modules, errors, () => c.flush());
  const dir = modulesDir(sys.release);
  const [index, config] = [await readIndex(sys, dir), await readConfig(sys, dir)];
  const graph = analyze(treeOf(c.system.lab?.builtModules.map((m) => m.info) ?? [], sys.release));
  const loaded = new Set(sys.loaded().map((m) => m.name));
  let status = 0;
  for (const name of c.args) {
    const plan = resolve({ name }, { index, config, graph, isLoaded: (module) => loaded.has(module) });
    if (plan.modules.length === 0) {
      await c.flush();
      await c.err(`modplan: Module ${name} not found in directory ${dir}\n`);
      status = 1;
    }
    for (const { steps } of plan.modules) {
      for (const step of steps) c.out(`${(step.loaded ? 'loaded' : step.kind).padEnd(8)} ${step.module.padEnd(16)} ${step.why}\n`);
    }
  }
  for (const text of errors) await c.err(text);
  return status;
};
