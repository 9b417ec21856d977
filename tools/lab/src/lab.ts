/** A Lab: one machine, one kernel, its user space. */
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { KernelError, type Atomic, type KernelSymbols, type LogLine, type RunResult, type Task } from '@vdpalab/abi';
import type { Uevent } from '@vdpalab/driver-core';
import type { ForeignFiles, Process } from '@vdpalab/fs';
import type { MmStruct } from '@vdpalab/mm';
import type { Loader, ModuleImage } from '@vdpalab/loader';
import { createMachine, createPciHost, describeRun, type HwMachine, type PciSystem, type TraceSink } from '@vdpalab/machine';
import { LOG_KERN } from '@vdpalab/uapi';
import type { Logger } from 'pino';
import { openImage, type BuiltModule } from './built-modules.ts';
import { labSchema, type LabConfig, type LabConfigInput } from './config.ts';
import { readLabFile } from './lab-file.ts';
import { FaultInjector } from './faults/injector.ts';
import { deviceLayers, type DeviceLayers } from './layers.ts';
import { KernelLog, passOn } from './log.ts';
import { installModuleTree } from './module-tree.ts';
import { openModuleFile } from './module-file.ts';
import { RefusalLog } from './refusals.ts';
import { UserProcess, type Syscalls } from './process.ts';
import { LiveDriver } from './live-driver.ts';
import { selectModules } from './select-modules.ts';
import { Vmlinux } from './vmlinux.ts';

/** What a lab is made from. */
export interface LabOptions {
  /** Path of a lab file. */
  readonly file?: string;
  /** The lab file's contents, instead of a path. */
  readonly config?: LabConfigInput;
  /** Instead of the lab file's seed. */
  readonly seed?: number;
  /** Takes trace events; tracing is off without. */
  readonly traceSink?: TraceSink;
  /** Where kernel log lines go besides dmesg. */
  readonly logger?: Logger;
  /** What is to fail, besides the lab file's `fail`; an empty list lets rules be added later. */
  readonly fail?: readonly string[];
  /** `paced` follows real time and runs by itself, for front doors; `virtual`, when absent, jumps to the next timer when idle. */
  readonly clock?: 'virtual' | 'paced';
}

/** How a user process is made. */
export interface UserOptions {
  readonly comm?: string;
  readonly uid?: number;
  readonly gid?: number;
  /** CAP_* numbers; absent: all for uid 0, none for others. */
  readonly caps?: readonly number[];
  readonly cwd?: string;
  /** Its address space; a new one when absent. */
  readonly mm?: MmStruct;
  /** Its limits; those of a new process when absent. */
  readonly rlimits?: Map<number, number>;
  /** For a process outside: what its descriptor numbers mean. */
  readonly outside?: ForeignFiles;
}

/** A thing that is held, without the number it happens to have: a function that comes again has another table of the IOMMU. */
function anonymous(what: string): string {
  return what.replace(/^(iommu table) \d+/, '$1');
}

/** A task did not come to its end, because nothing in the lab can run any more. */
export class LabStuckError extends Error {
  readonly result: RunResult;
  constructor(task: string, result: RunResult) {
    super(`${task} cannot go on: ${describeRun(result)}`);
    this.name = 'LabStuckError';
    this.result = result;
  }
}

/** The kernel did not come up: part of its image was refused something. */
export class LabBootError extends Error {
  /** What was still held after everything that had come up was taken down; empty when nothing leaked. */
  readonly left: readonly string[];
  constructor(cause: unknown, left: readonly string[]) {
    super(`the kernel does not boot: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
    this.name = 'LabBootError';
    this.left = left;
  }
}

/** Symbols that tell what a subsystem still holds. */
const leftoverSymbols = [
  'sched_leftovers', 'mm_leftovers', 'fs_leftovers', 'driver_core_leftovers', 'irq_leftovers', 'iommu_leftovers',
  'pci_leftovers', 'netlink_leftovers', 'netdev_leftovers', 'devlink_leftovers', 'block_leftovers', 'vhost_leftovers', 'virtio_ring_leftovers',
] as const;

/** One lab. Made by {@link createLab}; {@link close} says what was left behind. */
export class Lab {
  readonly config: LabConfig;
  readonly hw: HwMachine;
  /** PCI functions and networks: the hardware's side. */
  readonly pci: PciSystem;
  readonly log: KernelLog;
  /** Uevents since boot, oldest first. */
  readonly uevents: Uevent[] = [];
  /** What was refused, with rule and reason. */
  readonly refusals: RefusalLog;
  /** Failures on purpose; `null` in a lab that was made without. */
  readonly faults: FaultInjector | null;
  readonly #vmlinux: Vmlinux;
  readonly #modules: Map<string, BuiltModule>;
  /** What an idle kernel holds right after boot: no leak. */
  readonly #atBoot = new Map<string, number>();
  #driving: Promise<RunResult> | null = null;
  /** Runs the machine whenever something enters; `null` on a virtual clock, where callers run it. */
  readonly #live: LiveDriver | null;
  #closed = false;

  /** Host folder that relative paths of the lab file start from. */
  readonly #folder: string;

  private constructor(folder: string, config: LabConfig, hw: HwMachine, pci: PciSystem, log: KernelLog, modules: readonly BuiltModule[], fail: readonly string[] | undefined, live: boolean) {
    this.#live = live ? new LiveDriver(hw.sched) : null;
    this.#folder = folder;
    this.config = config;
    this.hw = hw;
    this.pci = pci;
    this.log = log;
    this.#modules = new Map(modules.map((m) => [m.info.package, m]));
    this.refusals = new RefusalLog(() => hw.sched.now);
    this.faults = fail === undefined ? null : new FaultInjector({ current: () => hw.sched.current, seed: config.seed }, fail);
    this.#vmlinux = new Vmlinux(hw, (path, bytes) => this.#readImage(path, bytes), config.kernel, this.faults, (call, error): Atomic => this.refusals.note(call, error, this.#currentProcess()));
  }

  /** Build the machine, boot the kernel, lay out its file system. */
  static async create(options: LabOptions = {}): Promise<Lab> {
    const config = options.file !== undefined
      ? readLabFile(options.file)
      : labSchema.parse(options.config ?? {});
    const hw = createMachine({
      seed: options.seed ?? config.seed,
      ramBytes: config.memory,
      iommu: config.iommu,
      iommuBits: config.iommu_bits,
      cmdline: config.cmdline,
      release: config.release,
      ...(options.clock === undefined ? {} : { clock: options.clock }),
      ...(options.traceSink === undefined ? {} : { traceSink: options.traceSink }),
      consoleSink: options.logger === undefined ? () => undefined : passOn(options.logger),
    });
    const log = new KernelLog(hw.log);
    const folder = options.file === undefined ? process.cwd() : dirname(options.file);
    const pci = createPciHost(hw, config.pci, config.networks.map((net) => ({
      ...net,
      responders: net.responders.map((one) => ({
        ...one,
        files: new Map(Object.entries(one.files).map(([name, from]) => [name, readFileSync(resolve(folder, from))])),
      })),
    })));
    const fail = options.fail === undefined ? config.fail : [...(config.fail ?? []), ...options.fail];
    const lab = new Lab(folder, config, hw, pci, log, await selectModules(config, folder), fail, options.clock === 'paced');
    try {
      await lab.#boot();
    } catch (error) {
      throw new LabBootError(error, await lab.#giveUp());
    }
    return lab;
  }

  /**
   * Say how the kernel runs a program of user space, for `request_module`; `null`: it cannot.
   *
   * @param run takes the program and its arguments, and gives its exit status
   */
  set usermodehelper(run: ((argv: readonly string[]) => Promise<number>) | null) {
    this.#vmlinux.usermodehelper = run;
  }

  /** Whether it follows real time and runs by itself. */
  get live(): boolean {
    return this.#live !== null;
  }

  get loader(): Loader {
    return this.#vmlinux.loader;
  }

  /** Kernel log lines since boot. */
  get dmesg(): readonly LogLine[] {
    return this.log.lines;
  }

  /** Modules of the lab's tree, by Linux name. */
  get builtModules(): readonly BuiltModule[] {
    return [...this.#modules.values()];
  }

  /**
   * Put another build of a module into the tree: the next insmod loads that one.
   *
   * @param module a copy under a path of its own, since the files of one path are read once
   * @throws Error for a built-in, and when the new tree's modules need each other in a circle
   */
  async replaceModule(module: BuiltModule): Promise<void> {
    if (module.info.builtin) throw new Error(`${module.info.name} is built in: only a new lab has another`);
    const modules = new Map(this.#modules).set(module.info.package, module);
    await this.kernel(async () => installModuleTree([...modules.values()], this.config, this.symbol('ramfs_write')));
    this.#modules.set(module.info.package, module);
  }

  /** An exported symbol, for doors and tests; call it inside {@link kernel} or {@link user}. */
  symbol<S extends keyof KernelSymbols & string>(name: S): KernelSymbols[S] {
    return this.#vmlinux.symbol(name);
  }

  /**
   * Let everything that is ready run, at most `maxSteps` scheduler steps, and no timer after `horizon`.
   *
   * @throws Error on a paced clock: such a lab runs by itself
   */
  async run(maxSteps?: number, horizon?: () => number): Promise<RunResult> {
    if (this.#live !== null) throw new Error('a lab on a paced clock runs by itself');
    this.#driving ??= this.hw.sched.run(maxSteps, horizon).finally(() => {
      this.#driving = null;
    });
    return this.#driving;
  }

  /**
   * Run `body` as a task of a new process, until everything is idle; the process exits with it.
   *
   * @throws what the body throws; LabStuckError when it waits for something that cannot happen
   */
  async user<T>(body: (p: UserProcess) => Promise<T>, options: UserOptions = {}): Promise<T> {
    const comm = options.comm ?? 'user';
    return this.#inTask(comm, async (task) => {
      const process = this.spawnProcess(comm, options);
      task.process = process.proc;
      try {
        return await body(process);
      } finally {
        await this.symbol('process_exit')(process.proc);
        task.process = null;
      }
    });
  }

  /** A process that lives on: the caller runs its tasks with {@link as} and ends it with {@link exitProcess}. Inside a task. */
  spawnProcess(comm: string, options: UserOptions = {}): UserProcess {
    const { uid, gid, caps, cwd, mm, rlimits, outside } = options;
    const proc = this.symbol('process_create')(comm, {
      ...(uid === undefined ? {} : { uid }), ...(gid === undefined ? {} : { gid }),
      ...(caps === undefined ? {} : { caps }), ...(cwd === undefined ? {} : { cwd }),
      ...(mm === undefined ? {} : { mm }), ...(rlimits === undefined ? {} : { rlimits }), ...(outside === undefined ? {} : { outside }),
    });
    return this.processOf(proc);
  }

  /** The calls of a process the kernel knows. */
  processOf(proc: Process): UserProcess {
    return new UserProcess(this.#syscalls(), proc);
  }

  /** Make a process from outside any task. */
  async process(comm: string, options: UserOptions = {}): Promise<UserProcess> {
    return this.kernel(async () => this.spawnProcess(comm, options));
  }

  /**
   * Run `body` as a task of a process that lives already. On a paced clock this and its like return when the body is done.
   *
   * @param settleNs virtual time that may pass once the body is done; absent: until everything is idle
   */
  async as<T>(process: UserProcess, body: (p: UserProcess) => Promise<T>, settleNs = Infinity): Promise<T> {
    return this.#inTask(process.proc.comm, async (task) => {
      task.process = process.proc;
      return body(process);
    }, settleNs);
  }

  /** Start a task of a living process and do not wait for it. */
  start(process: UserProcess, name: string, body: (p: UserProcess) => Promise<void>): Task {
    return this.symbol('process_run')(process.proc, name, () => body(process));
  }

  async exitProcess(process: UserProcess): Promise<void> {
    await this.kernel(() => this.symbol('process_exit')(process.proc));
  }

  /** Run `body` as a kernel thread, until everything is idle. */
  async kernel<T>(body: () => Promise<T>): Promise<T> {
    return this.#inTask('kernel', body);
  }

  /** The layers from processes to hardware as they are now. */
  layers(): Promise<DeviceLayers> {
    return this.kernel(async () => deviceLayers((name) => this.loader.lookup(name)));
  }

  /** What the subsystems and the machine hold beyond what the idle kernel held right after boot. */
  leftovers(): string[] {
    const idle = new Map(this.#atBoot);
    return this.#held().filter((what) => {
      const count = idle.get(anonymous(what)) ?? 0;
      if (count > 0) idle.set(anonymous(what), count - 1);
      return count === 0;
    });
  }

  /**
   * Shut down: end all processes, unload all modules, take the built-ins down.
   *
   * @returns what was left behind at each stage; empty when nothing leaked
   */
  async close(): Promise<string[]> {
    if (this.#closed) return [];
    this.#closed = true;
    for (const responder of this.pci.responders.values()) responder.stop();
    const left: string[] = [];
    const stage = async (what: string, body: () => Promise<void>): Promise<void> => {
      try {
        await this.kernel(body);
      } catch (error) {
        left.push(`${what}: ${error instanceof Error ? error.message : String(error)}`);
      }
    };
    await stage('processes', async () => {
      for (const proc of this.symbol('processes')()) {
        left.push(`process ${proc.pid} (${proc.comm}) was still running`);
        await this.symbol('process_exit')(proc as Process);
      }
    });
    const fixed = this.loader.lookup('modules_disabled')?.() === true; // then only the machine's end takes modules away
    for (; !fixed;) {
      const next = this.loader.modules().find((m) => m.state === 'live' && m.holders.length === 0 && !m.permanent);
      if (next === undefined) break;
      const before = this.loader.modules().length;
      await stage(`rmmod ${next.name}`, () => this.loader.unload(next.name));
      if (this.loader.modules().length === before) break;
    }
    if (!fixed) left.push(...this.leftovers());
    await stage('shutdown', () => this.loader.shutdown());
    left.push(...this.loader.residue());
    left.push(...this.leftovers());
    this.#live?.stop();
    this.faults?.close();
    return [...new Set(left)];
  }

  /** Take down what a boot that failed has brought up. @returns what is left all the same */
  async #giveUp(): Promise<string[]> {
    this.#closed = true;
    const left: string[] = [];
    try {
      await this.kernel(() => this.loader.shutdown());
    } catch (error) {
      left.push(`shutdown: ${error instanceof Error ? error.message : String(error)}`);
    }
    this.#live?.stop();
    this.faults?.close();
    return [...left, ...this.loader.residue(), ...this.leftovers()];
  }

  #held(): string[] {
    return [
      ...leftoverSymbols.flatMap((name) => this.loader.lookup(name)?.() ?? []),
      ...this.hw.leftovers().map((l) => `${l.kind} ${l.what}`),
    ];
  }

  async #boot(): Promise<void> {
    const all = [...this.#modules.values()];
    await this.kernel(async () => {
      await this.#vmlinux.boot(all.filter((m) => m.info.builtin));
      this.symbol('uevent_listen')((event): Atomic => {
        this.uevents.push(event);
        return undefined;
      });
      const write = this.symbol('ramfs_write');
      this.symbol('kernfs_remove')(write('/etc/modprobe.d/.new', '')); // the directory is there, with or without files of the lab file
      installModuleTree(all, this.config, write);
      for (const [path, from] of Object.entries(this.config.files)) write(path, readFileSync(resolve(this.#folder, from)), 0o644);
    });
    for (const what of this.#held()) this.#atBoot.set(anonymous(what), (this.#atBoot.get(anonymous(what)) ?? 0) + 1);
  }

  /** What `insmod PATH` loads: the file's contents say which package it is, whatever the file's name. */
  async #readImage(path: string, bytes: Uint8Array | null = null): Promise<ModuleImage> {
    return this.#openFile(bytes ?? await this.#readFile(path), path);
  }

  async #openFile(bytes: Uint8Array, path: string): Promise<ModuleImage> {
    const file = openModuleFile(bytes, path, (level, text) => this.hw.machine.console(level, LOG_KERN, text));
    const module = this.#modules.get(file.package);
    if (module === undefined) throw new KernelError('ENOEXEC', 'module.load.package', `${path}: package ${file.package} is not in this lab`);
    return file.image(await this.hw.sched.host(openImage(module, path), `module ${path}`));
  }

  async #readFile(path: string): Promise<Uint8Array> {
    const proc = this.symbol('current')();
    const reader = proc === null ? this.spawnProcess('kmod') : new UserProcess(this.#syscalls(), proc);
    try {
      return await reader.readFileBytes(path);
    } finally {
      if (proc === null) await this.symbol('process_exit')(reader.proc);
    }
  }

  #syscalls(): Syscalls {
    return new Proxy({} as Syscalls, { get: (_, name) => this.noting(String(name).replace(/^ksys_/, ''), this.symbol(name as keyof Syscalls)) });
  }

  /** A call of user space whose refusals are kept. */
  noting<F extends (...args: never[]) => unknown>(call: string, body: F): F {
    const note = (error: unknown): never => {
      this.refusals.note(call, error, this.#currentProcess());
      throw error;
    };
    return ((...args: never[]) => {
      try {
        const result = body(...args);
        return result instanceof Promise ? result.catch(note) : result;
      } catch (error) {
        return note(error);
      }
    }) as F; // calls it with what it is given
  }

  #currentProcess(): Process | null {
    return (this.hw.sched.current?.process ?? null) as Process | null; // what spawnProcess put there
  }

  async #inTask<T>(name: string, body: (task: Task) => Promise<T>, settleNs = Infinity): Promise<T> {
    if (this.#live !== null) return this.#live.inTask(name, body);
    let outcome: { value: T } | { error: unknown } | null = null;
    let doneAt = Infinity;
    const task: Task = this.hw.sched.spawn(name, async () => {
      try {
        outcome = { value: await body(task) };
      } catch (error) {
        outcome = { error };
      }
      doneAt = this.hw.sched.now;
    });
    const horizon = (): number => doneAt + settleNs;
    let result = await this.run(undefined, horizon);
    while (outcome === null && (result.kind === 'limit')) result = await this.run(undefined, horizon);
    if (outcome === null) throw new LabStuckError(name, result);
    const done = outcome as { value: T } | { error: unknown }; // set inside the task, which TypeScript does not follow
    if ('error' in done) throw done.error;
    return done.value;
  }
}

/** Make a lab. */
export async function createLab(options: LabOptions = {}): Promise<Lab> {
  return Lab.create(options);
}
