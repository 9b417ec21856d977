/**
 * A kernel of some modules on a real machine, for tests of what lies above `sched` and `fs`. No loader is involved:
 * symbols are wired by the modules' own lists, and what the loader would tell is told.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import type { KernelRelease, KernelSymbols, LogLine, Machine, ModuleDefinition, ParamSpecs, RunResult, Task, ThisModule } from '@vdpalab/abi';
import { UndoStack, versionCodeOf } from '@vdpalab/abi';
import { LOG_KERN } from '@vdpalab/uapi';
import { ModuleTable, TestModule } from './module-table.ts';

/** `struct task_struct` as the `fs` header declares it, in programs that include that header. */
export type TestProcess = KernelSymbols extends { process_create: (...args: never[]) => infer P } ? P : never;

/** A module definition, however its symbols and parameters are typed. */
export interface Loadable extends Omit<ModuleDefinition, 'module_init' | 'params'> {
  readonly params: ParamSpecs;
  readonly module_init: (k: never, mod: never) => unknown;
}

/** How to boot. */
export interface BootOptions {
  /** Chooses the order of what may run in any order; 1 when absent. */
  readonly seed?: number;
  /** The machine; a plain one without devices when absent. Its console is not seen in `log` then. */
  readonly machine?: Machine;
  /** Whose behaviour modules are to have; 6.1 when absent. */
  readonly kernel?: KernelRelease;
  /**
   * Stands between a symbol and the module that imports it: for counting calls and for making them fail.
   *
   * @returns what the importer gets
   */
  readonly wrap?: (symbol: string, value: unknown, importer: string) => unknown;
}

/** A kernel that runs. */
export interface BootedKernel {
  /** Every symbol there is. */
  readonly k: KernelSymbols;
  readonly machine: Machine;
  /** Console lines, oldest first. */
  readonly log: LogLine[];
  /** Run one kernel task to its end. @throws what it threw; Error when it did not end */
  readonly run: <T>(body: () => Promise<T>) => Promise<T>;
  /** Run one task of a new process to its end; the process exits. @param as absent: root */
  readonly user: <T>(body: (proc: TestProcess) => Promise<T>, as?: { uid?: number; caps?: readonly number[] }) => Promise<T>;
  /** Start a kernel task; it runs in {@link settle} or beside the next {@link run}. */
  readonly spawn: (name: string, body: () => Promise<void>) => Task;
  /** Run until nothing is ready. @throws what a task threw */
  readonly settle: () => Promise<RunResult>;
  /** Load a module as the loader does, inside a task: coming, init, live. */
  readonly insmod: (definition: Loadable, params?: Record<string, unknown>) => Promise<void>;
  /** Unload it, inside a task. @throws Error when it is in use */
  readonly rmmod: (name: string) => Promise<void>;
  /** What all `*_leftovers` symbols report beyond what they did after boot. */
  readonly leftovers: () => string[];
}

/** Steps after which a test that does not come to rest is given up. */
const MAX_STEPS = 1_000_000;

interface Loaded {
  readonly module: TestModule;
  readonly exports: readonly string[];
  readonly exit: () => Promise<void>;
}

/**
 * Boot the named module packages, in this order; each must find its imports among those before it.
 *
 * @param names package folders under modules/, such as `driver-core`, or definitions
 */
export async function bootBuiltins(names: readonly (string | Loadable)[], options: BootOptions = {}): Promise<BootedKernel> {
  const log: LogLine[] = [];
  const machine = options.machine ?? await plainMachine(options.seed ?? 1, log);
  const table = new ModuleTable();
  const symbols = new Map<string, unknown>(Object.entries({
    machine, _printk: (level: number, text: string) => machine.console(level, LOG_KERN, text), ...table.symbols(),
  }));
  const loaded = new Map<string, Loaded>();
  const tasks: Task[] = [];
  const k = new Proxy({}, { get: (_, name) => symbolOf(String(name), 'the test') }) as KernelSymbols; // a table that says what it lacks

  function symbolOf(name: string, importer: string): unknown {
    if (!symbols.has(name)) throw new Error(`${importer}: Unknown symbol ${name} (err -2)${hintOf(name)}`);
    return symbols.get(name);
  }

  async function load(definition: Loadable, params: Record<string, unknown>): Promise<void> {
    const values: Record<string, unknown> = Object.fromEntries(Object.entries(definition.params).map(([name, spec]) => [name, spec.default]));
    Object.assign(values, params);
    const module = new TestModule(definition, values);
    const imported = definition.imports.map((name) => {
      const value = symbolOf(name, definition.name);
      return [name, options.wrap === undefined ? value : options.wrap(name, value, definition.name)] as const;
    });
    const undo = new UndoStack();
    table.modules.unshift(module);
    const providers = [...loaded.values()].filter((l) => !l.module.builtin && l.exports.some((name) => definition.imports.includes(name)));
    const release = (): void => {
      for (const { module: provider } of providers) {
        provider.refcnt--;
        provider.holders.splice(provider.holders.indexOf(module.name), 1);
      }
      table.modules.splice(table.modules.indexOf(module), 1);
    };
    for (const { module: provider } of providers) {
      provider.refcnt++;
      provider.holders.unshift(module.name);
    }
    if (!module.builtin) table.tell('coming', module);
    const leave = async (exit: () => Promise<void> | void): Promise<void> => {
      module.state = 'going';
      if (!module.builtin) table.tell('going', module);
      await exit();
      await undo.run();
      release();
      if (!module.builtin) table.tell('gone', module);
    };
    try {
      const mod: ThisModule = { THIS_MODULE: module, LINUX_VERSION_CODE: versionCodeOf(options.kernel ?? '6.1'), params: values, undo };
      // The definition's own types were checked where it was written.
      const init = definition.module_init as (k: object, mod: ThisModule) => Promise<{ ksymtab: object; module_exit?: (() => Promise<void> | void) | null }>;
      const { ksymtab, module_exit } = await init(Object.fromEntries(imported), mod);
      for (const [name, value] of Object.entries(ksymtab)) symbols.set(name, value);
      const exports = Object.keys(ksymtab);
      module.state = 'live';
      loaded.set(module.name, {
        module, exports,
        exit: () => leave(async () => {
          await module_exit?.();
          for (const name of exports) symbols.delete(name);
        }),
      });
    } catch (error) {
      await leave(() => undefined);
      throw error;
    }
    table.tell('live', module);
  }

  async function settle(): Promise<RunResult> {
    const result = await machine.sched.run(MAX_STEPS);
    const done = tasks.filter((task) => task.state === 'done');
    for (const task of done) tasks.splice(tasks.indexOf(task), 1);
    for (const task of done) if (task.failure !== undefined) throw task.failure;
    return result;
  }

  function spawn(name: string, body: () => Promise<void>): Task {
    const task = machine.sched.spawn(name, body);
    tasks.push(task);
    return task;
  }

  async function run<T>(body: () => Promise<T>): Promise<T> {
    const outcome: { value?: T } = {};
    const task = spawn('test', async () => {
      outcome.value = await body();
    });
    const result = await settle();
    if (task.state === 'done') return outcome.value as T; // the body ended, or settle had thrown
    throw new Error(`the task did not end (${result.kind}): it waits for ${task.wait?.what ?? 'its turn'}`);
  }

  function report(): string[] {
    return [...symbols].flatMap(([name, value]) => (name.endsWith('_leftovers') ? (value as () => readonly string[])() : []));
  }

  const built = new Set<string>();
  const kernel: BootedKernel = {
    k, machine, log, run, spawn, settle,
    user: (body, as = {}) => run(async () => {
      const { process_create, process_exit, current_task } = k as unknown as ProcessSymbols; // of `fs` and `sched`, which this package does not know
      const proc = process_create('test', as);
      const task = current_task();
      task.process = proc;
      try {
        return await body(proc as TestProcess);
      } finally {
        await process_exit(proc);
        task.process = null;
      }
    }),
    insmod: (definition, params = {}) => load(definition, params),
    rmmod: async (name) => {
      const entry = loaded.get(name);
      if (entry === undefined) throw new Error(`rmmod: Module ${name} is not currently loaded`);
      if (entry.module.refcnt > 0) throw new Error(`rmmod: Module ${name} is in use, ${entry.module.refcnt} references`);
      loaded.delete(name);
      await entry.exit();
    },
    leftovers: () => report().filter((line) => !built.has(line)),
  };
  const definitions: Loadable[] = []; // imports are the host's business and may not happen inside a task
  for (const name of names) definitions.push(typeof name === 'string' ? await definitionOf(name) : name);
  await run(async () => {
    for (const definition of definitions) await load(definition, {});
  });
  for (const line of report()) built.add(line);
  return kernel;
}

interface ProcessSymbols {
  readonly process_create: (comm: string, options: object) => unknown;
  readonly process_exit: (proc: unknown) => Promise<void>;
  readonly current_task: () => Task;
}

/** Which package has to be named before, where one of the tree exports the symbol. */
function hintOf(symbol: string): string {
  const modules = new URL('../../../../modules/', import.meta.url);
  const declares = new RegExp(`^  (readonly )?${symbol}: `, 'm');
  const found = readdirSync(modules).find((name) => {
    const header = new URL(`${name}/src/header.ts`, modules);
    return existsSync(header) && declares.test(readFileSync(header, 'utf8'));
  });
  return found === undefined ? '' : `: boot '${found}' before it`;
}

/** Definition of a module package. Packages export types only, so its code is found by its place in the tree. */
async function definitionOf(name: string): Promise<Loadable> {
  const path = `../../../../modules/${name}/src/module.ts`;
  const { default: definition } = (await import(path)) as { default: Loadable };
  return definition;
}

/** Imported by name at run time only: this package builds without the machine. */
async function plainMachine(seed: number, log: LogLine[]): Promise<Machine> {
  const name = '@vdpalab/machine';
  const { createMachine } = (await import(name)) as { createMachine: (options: object) => { machine: Machine } };
  return createMachine({
    seed, ramBytes: 16 << 20, iommu: false, cmdline: '', release: '6.1.0', consoleSink: (line: LogLine) => void log.push(line),
  }).machine;
}
