/** A kernel of `sched`, `mm` and `fs` for the tests of this package, with a machine below and no loader. */
import type { KModule, LogLine, ModuleView, RunResult } from '@vdpalab/abi';
import { createMachine } from '@vdpalab/machine';
import type { HwMachine } from '@vdpalab/machine';
import type { MmSymbols } from '@vdpalab/mm';
import type { SchedSymbols } from '@vdpalab/sched';
import { startModule } from '@vdpalab/testing';
import type { Startable } from '@vdpalab/testing';
import { LOG_KERN } from '@vdpalab/uapi';
import type { FsSymbols, Process } from '../header.ts';
import fs from '../module.ts';

/** All symbols there are. */
export type TestSymbols = FsSymbols & MmSymbols & SchedSymbols;

/** What a test works with. */
export interface TestKernel {
  readonly k: TestSymbols;
  readonly hw: HwMachine;
  /** Console lines. */
  readonly log: LogLine[];
  /** What /proc/modules shows. */
  readonly modules: ModuleView[];
  /** References taken of a module through try_module_get; a module in `going` gives none. */
  readonly refs: Map<KModule | null, number>;
  readonly going: Set<KModule | null>;
  /** A root process. */
  readonly root: Process;
  /** A process of uid 1000 without capabilities. */
  readonly user: Process;
  /** Start a task of a process; it runs in {@link run}. */
  readonly task: (proc: Process, name: string, body: () => Promise<void>) => void;
  /** Run until nothing is ready. @throws what a task threw */
  readonly run: () => Promise<RunResult>;
  /** Run one task of the root process to its end. */
  readonly inTask: <T>(body: () => Promise<T>) => Promise<T>;
  readonly leftovers: () => string[];
}

/** A module package exports types only, so its code is imported by its place in the tree. */
async function load(name: string): Promise<Startable<object, Record<never, never>, object>> {
  const path = `../../../${name}/src/module.ts`;
  const loaded = (await import(path)) as { default: Startable<object, Record<never, never>, object> };
  return loaded.default;
}

/** Boot. @param seed chooses the order of what may run in any order */
export async function bootFs(seed = 1, ramBytes = 4 << 20, cmdline = 'quiet'): Promise<TestKernel> {
  const log: LogLine[] = [];
  const hw = createMachine({
    seed, ramBytes, iommu: false, cmdline, release: '6.1.0', consoleSink: (line) => void log.push(line),
  });
  const { machine } = hw;
  const modules: ModuleView[] = [];
  const refs = new Map<KModule | null, number>();
  const going = new Set<KModule | null>();
  let taints = 4096;
  const vmlinux = {
    machine,
    _printk: (level: number, text: string) => machine.console(level, LOG_KERN, text),
    modules: () => modules,
    tainted: () => taints,
    add_taint: (bit: number): undefined => {
      taints |= 1 << bit;
    },
    try_module_get: (module: KModule | null): boolean => {
      if (going.has(module)) return false;
      refs.set(module, (refs.get(module) ?? 0) + 1);
      return true;
    },
    module_put: (module: KModule | null): undefined => void refs.set(module, (refs.get(module) ?? 0) - 1),
  };
  const sched = (await startModule(await load('sched'), vmlinux)).ksymtab as SchedSymbols;
  const mm = (await startModule(await load('mm'), vmlinux)).ksymtab as MmSymbols;
  const k: TestSymbols = { ...sched, ...mm, ...(await startModule(fs, { ...vmlinux, ...sched, ...mm })).ksymtab };
  const root = k.process_create('root');
  const user = k.process_create('user', { uid: 1000 });
  const tasks: ReturnType<FsSymbols['process_run']>[] = [];

  async function run(): Promise<RunResult> {
    const result = await machine.sched.run(100_000);
    for (const task of tasks.splice(0)) if (task.failure !== undefined) throw task.failure;
    return result;
  }

  return {
    k, hw, log, modules, refs, going, root, user,
    task: (proc, name, body) => {
      tasks.push(k.process_run(proc, name, body));
    },
    run,
    inTask: async <T>(body: () => Promise<T>): Promise<T> => {
      const done: T[] = [];
      tasks.push(k.process_run(root, 'test', async () => {
        done.push(await body());
      }));
      const result = await run();
      if (done.length === 0) throw new Error(`the test task did not end: ${result.kind}`);
      return done[0] as T; // pushed above
    },
    leftovers: () => [...k.fs_leftovers(), ...k.mm_leftovers(), ...k.sched_leftovers()]
      .filter((text) => !/^(process [12] |mm [12]: 1 users, 0 areas)/.test(text)),
  };
}

/** What a test expects of a refusal. */
export function refusal(errno: string, rule?: string): object {
  return rule === undefined ? { errno } : { errno, rule: `fs.${rule}` };
}
