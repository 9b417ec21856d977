/** What the loader asks of its surroundings: the log, waiting, rights and the kernel's configuration. */
import type { Atomic, ModuleView, WaitReason } from '@vdpalab/abi';
import type { ModuleImage } from './image.ts';

/** Steps of a load, in the order of `load_module` in `kernel/module/main.c` (Linux 6.1). */
export const LOAD_STEPS = [
  'permission', 'signature', 'blacklist', 'modversions', 'vermagic', 'duplicate', 'taints', 'symbols', 'exports', 'coming', 'parameters',
  'init', 'live',
] as const;

/** A step of a load. */
export type LoadStep = (typeof LOAD_STEPS)[number];

/** The kernel's surroundings. Everything but `printk`, `wait` and `wake` has a default. */
export interface LoaderHost {
  /** Write to the kernel log. @param level 0 emerg .. 7 debug; @param text without a newline */
  readonly printk: (level: number, text: string) => Atomic;
  /**
   * Park the running task until `until()` holds or `timeoutNs` virtual nanoseconds have passed; the caller looks again.
   *
   * @throws ERESTARTSYS when a signal came first
   */
  readonly wait: (reason: WaitReason, until: () => boolean, timeoutNs?: number) => Promise<void>;
  /** A condition that somebody waits for may hold now: `wake_up_all(&module_wq)`. */
  readonly wake: () => Atomic;
  /** CAP_SYS_MODULE of the caller, and modules are not disabled. Default: yes. */
  readonly capable?: () => boolean;
  /** Names after `module_blacklist=`. */
  readonly moduleBlacklist?: readonly string[];
  /** The kernel's own version magic; absent, none is compared. */
  readonly vermagic?: string;
  /** `LINUX_VERSION_CODE` that modules are told. Default: that of 6.1. */
  readonly linuxVersionCode?: number;
  /** CRC of `module_layout`; absent, it is not compared. */
  readonly moduleLayoutCrc?: number;
  /** `CONFIG_MODULE_FORCE_LOAD`: an image without versions or vermagic loads with taint F. Default: yes. */
  readonly forceLoad?: boolean;
  /** `CONFIG_MODULE_ALLOW_MISSING_NAMESPACE_IMPORTS`: a namespace not imported is only warned of. Default: no. */
  readonly allowMissingNamespaceImports?: boolean;
  /** `module.sig_enforce`: an unsigned image is refused. Default: no. */
  readonly sigEnforce?: () => boolean;
  /** `/proc/sys/kernel/modprobe`, empty for none. Default: `/sbin/modprobe`. */
  readonly modprobePath?: () => string;
  /** Run a program of user space to its end, for `request_module`. @returns its exit status; @throws ENOENT when there is no such program */
  readonly usermodehelper?: (argv: readonly string[]) => Promise<number>;
  /** The image behind a path, or in the bytes given, for the `init_module` symbol. @throws KernelError ENOENT, ENOEXEC */
  readonly readImage?: (path: string, bytes?: Uint8Array) => Promise<ModuleImage>;
  /** Called before each step; a KernelError it throws is the step's failure. For traces and failure injection. */
  readonly onStep?: (step: LoadStep, module: string) => Atomic;
  /** What `module_init` is handed in place of the symbols it was linked with; for failure injection. */
  readonly bindSymbols?: (module: ModuleView, linked: Readonly<Record<string, unknown>>) => Readonly<Record<string, unknown>>;
}
