/** A kernel of one module for the tests of this package: a machine, and `sched` on it. */
import type { RunResult, Scheduler } from '@vdpalab/abi';
import { createMachine } from '@vdpalab/machine';
import { startModule } from '@vdpalab/testing';
import type { SchedSymbols } from '../header.ts';
import sched from '../module.ts';

/** What a test works with. */
export interface TestKernel {
  readonly k: SchedSymbols;
  readonly sched: Scheduler;
  /** Start a task; it runs in {@link run}. */
  readonly task: (name: string, body: () => Promise<void>) => void;
  /** Run until nothing is ready. @throws what a task threw */
  readonly run: () => Promise<RunResult>;
  /** Run one task to its end. */
  readonly inTask: <T>(body: () => Promise<T>) => Promise<T>;
}

/** Boot. @param seed chooses the order of what may run in any order */
export async function bootSched(seed = 1): Promise<TestKernel> {
  const { machine } = createMachine({
    seed, ramBytes: 1 << 20, iommu: false, cmdline: '', release: '6.1.0', consoleSink: () => undefined,
  });
  const { ksymtab: k } = await startModule(sched, { machine });
  const tasks: ReturnType<Scheduler['spawn']>[] = [];

  async function run(): Promise<RunResult> {
    const result = await machine.sched.run(100_000);
    for (const task of tasks.splice(0)) if (task.failure !== undefined) throw task.failure;
    return result;
  }

  return {
    k,
    sched: machine.sched,
    task: (name, body) => {
      tasks.push(machine.sched.spawn(name, body));
    },
    run,
    inTask: async <T>(body: () => Promise<T>): Promise<T> => {
      let out: { value: T } | null = null;
      tasks.push(machine.sched.spawn('test', async () => {
        out = { value: await body() };
      }));
      const result = await run();
      if (out === null) throw new Error(`the task did not end: ${JSON.stringify(result.kind)}`);
      return (out as { value: T }).value; // set by the task, which TypeScript does not see
    },
  };
}
