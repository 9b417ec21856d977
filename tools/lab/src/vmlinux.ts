/** The kernel image: the symbols that exist before any module, and the built-ins in order. */
import { KernelError, versionCodeOf, type Atomic, type KernelRelease, type KernelSymbols, type ModuleView, type VmlinuxSymbols, type WaitReason } from '@vdpalab/abi';
import { MODULE_LAYOUT_CRC } from '@vdpalab/kmod';
import { Loader, makeImage, type ModuleImage } from '@vdpalab/loader';
import type { HwMachine } from '@vdpalab/machine';
import type { WaitQueue } from '@vdpalab/sched';
import { CAP_SYS_MODULE, LOG_KERN } from '@vdpalab/uapi';
import type { FaultInjector } from './faults/injector.ts';
import { bootOrder, openImage, type BuiltModule } from './built-modules.ts';
import { KernelModules } from './kernel-modules.ts';

/** Version magic of every module built here: release, then what a kernel built this way says. */
export const vermagic = (release: string): string => `${release} SMP preempt mod_unload modversions `;

/** `module_blacklist=a,b` of a kernel command line. */
export function moduleBlacklist(cmdline: string): string[] {
  return cmdline.split(/\s+/).flatMap((word) => /^module_blacklist=(.*)$/.exec(word)?.[1]?.split(',') ?? []);
}

/** `name.param=value` words of a kernel command line, as the arguments of one built-in. */
export function builtinArgs(cmdline: string, name: string): string {
  return cmdline.split(/\s+/).flatMap((word) => {
    const m = /^([\w-]+)\.(.+)$/.exec(word);
    return m !== null && (m[1] as string).replaceAll('-', '_') === name ? [m[2] as string] : [];
  }).join(' ');
}

/** A kernel that has been put together but not booted. */
export class Vmlinux {
  readonly loader: Loader;
  readonly #hw: HwMachine;
  /** `module_wq`: who waits for a module to settle; made when somebody does. */
  #queue: WaitQueue | null = null;
  readonly #own: KernelModules;
  /** Runs programs of user space for the kernel; absent while there is no user space. */
  usermodehelper: ((argv: readonly string[]) => Promise<number>) | null = null;

  /**
   * @param readImage opens what a path of the lab's file system holds, or the bytes given
   * @param kernel whose behaviour modules are to have
   * @param faults what is to fail on purpose
   * @param noteRefusal keeps refusals that no caller is handed
   */
  constructor(hw: HwMachine, readImage: (path: string, bytes?: Uint8Array) => Promise<ModuleImage>, kernel: KernelRelease = '6.1', faults: FaultInjector | null = null, noteRefusal: VmlinuxSymbols['note_refusal'] = () => undefined) {
    this.#hw = hw;
    this.#own = new KernelModules(hw.machine.cmdline);
    const symbols: VmlinuxSymbols = {
      machine: hw.machine,
      _printk: (level, text, unfinished) => hw.machine.console(level, LOG_KERN, text, unfinished),
      note_refusal: noteRefusal,
    };
    this.loader = new Loader({
      printk: (level, text) => hw.machine.console(level, LOG_KERN, text),
      wait: (reason, until, timeoutNs) => this.#wait(reason, until, timeoutNs),
      wake: () => (this.#queue === null ? undefined : this.symbol('wake_up')(this.#queue)),
      capable: () => this.#mayLoad(),
      linuxVersionCode: versionCodeOf(kernel),
      vermagic: vermagic(hw.machine.release),
      moduleLayoutCrc: MODULE_LAYOUT_CRC,
      sigEnforce: () => this.#own.sigEnforced(),
      modprobePath: () => this.loader.lookup('modprobe_path')?.() ?? '',
      usermodehelper: (argv) => {
        if (this.usermodehelper === null) throw new KernelError('ENOENT', 'umh.exec', `${argv[0] ?? ''}: there is no user space yet`);
        return this.usermodehelper(argv);
      },
      moduleBlacklist: moduleBlacklist(hw.machine.cmdline),
      readImage,
      ...(faults === null ? {} : {
        onStep: (step: string, module: string): Atomic => faults.load(step, module),
        bindSymbols: (module: ModuleView, linked: Readonly<Record<string, unknown>>) => faults.bind(module, linked),
      }),
    });
    this.loader.provide(symbols);
  }

  /** Start the built-ins. Called inside a task. */
  async boot(builtins: readonly BuiltModule[]): Promise<void> {
    const { machine } = this.#hw;
    machine.console(5, LOG_KERN, `Linux version ${machine.release} (vdpalab) #1 SMP PREEMPT_DYNAMIC`);
    machine.console(6, LOG_KERN, `Command line: ${machine.cmdline}`);
    const provided = new Set(this.loader.symbols().map((s) => s.name));
    for (const module of bootOrder(builtins, provided)) {
      const image = await machine.sched.host(openImage(module, `vmlinux(${module.info.name})`), `built-in ${module.info.name}`);
      await this.loader.loadBuiltin(image, builtinArgs(machine.cmdline, module.info.name));
    }
    for (const { definition, args } of this.#own.list) await this.loader.loadBuiltin(makeImage(definition), args);
  }

  /** @throws Error when no built-in exports it: the kernel image is incomplete */
  symbol<S extends keyof KernelSymbols & string>(name: S): KernelSymbols[S] {
    const value = this.loader.lookup(name);
    if (value === undefined) throw new Error(`no module exports ${name}`);
    return value;
  }

  /** CAP_SYS_MODULE, and not modules_disabled; while the built-ins boot, all may. */
  #mayLoad(): boolean {
    const capable = this.loader.lookup('capable');
    return capable === undefined || (capable(CAP_SYS_MODULE) && this.loader.lookup('modules_disabled')?.() !== true);
  }

  /** Sleep on `module_wq` where a signal can wake. @throws ERESTARTSYS when one did */
  async #wait(reason: WaitReason, until: () => boolean, timeoutNs?: number): Promise<void> {
    this.#queue ??= this.symbol('init_waitqueue_head')('module_wq');
    await this.symbol('wait_event_interruptible')(this.#queue, until, reason.what, 'load_module', timeoutNs);
  }
}
