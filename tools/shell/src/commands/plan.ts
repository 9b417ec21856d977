/** `modplan NAME...`: what modprobe would do for a name or a device, and why each step is there. */
import { analyze, modulesDir, readConfig, readIndex, resolve, treeOf } from '@vdpalab/kmod';
import type { Applet } from '../program.ts';
import { kmodSystem } from './kmod.ts';
import { deviceFacts, driversOf, unloadedText } from './plan-device.ts';

/** The program. Loaded modules are named too, as skipped. */
export const modplan: Applet = async (c) => {
  if (c.args.length === 0 || c.args[0] === '--help') {
    await c.err('usage: modplan MODULE|DEVICE...\n');
    return c.args.length === 0 ? 1 : 0;
  }
  const { modules } = c.system;
  if (modules === undefined) return c.fail('this kernel has no module loader');
  const errors: string[] = [];
  const sys = kmodSystem(c, modules, errors, () => c.flush());
  const dir = modulesDir(sys.release);
  const [index, config] = [await readIndex(sys, dir), await readConfig(sys, dir)];
  const infos = c.system.lab?.builtModules.map((m) => m.info) ?? [];
  const graph = analyze(treeOf(infos, sys.release));
  const loaded = new Set(sys.loaded().map((m) => m.name));
  let status = 0;
  for (const arg of c.args) {
    let name = arg;
    if (arg.startsWith('/')) {
      const device = await deviceFacts(c, arg);
      if (device === null) {
        await c.flush();
        status = await c.fail(`${arg}: not a device's directory`);
        continue;
      }
      if (device.modalias === null) {
        c.out(unloadedText(device, driversOf(device.bus, infos), loaded));
        continue;
      }
      name = device.modalias;
    }
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
