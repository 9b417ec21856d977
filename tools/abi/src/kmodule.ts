/** What the rest of the kernel sees of a loaded module, and the loader's own symbols. */

/** Module states as `/sys/module/M/initstate` names them; `unformed` has no file yet. */
export type ModuleState = 'unformed' | 'coming' | 'live' | 'going';

/** `struct module`: a handle; the loader keeps the rest. */
export interface KModule {
  readonly name: string;
  readonly state: ModuleState;
}

/** What happened to a module; told to observers in order. */
export interface ModuleEvent {
  readonly action: 'coming' | 'live' | 'going' | 'gone';
  readonly module: ModuleView;
}

/** What `/sys/module/M` and `/proc/modules` show; live, not a copy. */
export interface ModuleView extends KModule {
  readonly refcnt: number;
  /** Bytes of code, as `coresize` shows them. */
  readonly size: number;
  /** Bytes of code that is freed after init, as `initsize` shows them: 0 once it has run. */
  readonly initSize: number;
  /** Modules that use this one, newest first. */
  readonly holders: readonly string[];
  /** Letters such as `OE`. */
  readonly taint: string;
  readonly version: string | undefined;
  readonly srcversion: string | undefined;
  /** Load address, for `/proc/modules`. */
  readonly address: bigint;
  readonly permanent: boolean;
  readonly builtin: boolean;
  readonly parameters: readonly ModuleParameter[];
  /** Sections of its image in memory; none for a built-in one. */
  readonly sections: readonly ModuleSection[];
  /** ELF notes of its image. */
  readonly notes: readonly ModuleNote[];
}

/** A section of a loaded image. */
export interface ModuleSection {
  readonly name: string;
  readonly address: bigint;
}

/** A section of ELF notes. */
export interface ModuleNote {
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** A parameter with a sysfs file. */
export interface ModuleParameter {
  readonly name: string;
  readonly perm: number;
  /** The value as text, without the newline that the file ends in. */
  readonly show: () => string;
  /** @param text as written, newline and all. @throws EINVAL | ERANGE | ENOSPC as `kernel/params.c` does */
  readonly store: (text: string) => undefined;
}

/** Symbols the module loader itself exports. */
export interface ModuleSymbols {
  /** Take a reference; false once the module is going. A `null` module (built in) always succeeds. */
  try_module_get: (module: KModule | null) => boolean;
  /** Drop a reference. */
  module_put: (module: KModule | null) => undefined;
  /** Take a reference of a module known to be live. */
  __module_get: (module: KModule | null) => undefined;
  /** Loaded modules, newest first, with those coming and going; built-in ones excluded. */
  modules: () => readonly ModuleView[];
  /** The module of that name (`-` and `_` equal), built-in ones included. */
  find_module: (name: string) => ModuleView | null;
  /** Be told of every change from now on. */
  register_module_notifier: (notify: (event: ModuleEvent) => undefined) => undefined;
  unregister_module_notifier: (notify: (event: ModuleEvent) => undefined) => undefined;
  /** `insmod`: load one image; see the loader for the errnos. */
  init_module: (image: ModuleImageRef, args: string, flags: number) => Promise<void>;
  /** `rmmod` */
  delete_module: (name: string, flags: number) => Promise<void>;
  /** Kernel taint bits, as `/proc/sys/kernel/tainted` sums them. */
  tainted: () => number;
  /** Taint the kernel. @param bit its number, 0 for P */
  add_taint: (bit: number) => undefined;
  /**
   * Ask user space for a module: run `modprobe -q -- NAME` and wait for it.
   *
   * @param name a module's name or an alias, less than 56 bytes
   * @returns the helper's wait status: 0 when it says that the module is there, its exit status times 256 otherwise
   * @throws ENOENT where no helper is set, or there is no such program
   * @throws ENAMETOOLONG for a longer name
   * @throws ETIME when 50 requests are under way and none ends in 5 s
   */
  request_module: (name: string) => Promise<number>;
}

/** A module image as user space names it: an absolute path in the lab's module tree. */
export interface ModuleImageRef {
  /** Where user space says it is, for messages. */
  readonly path: string;
  /** The file's contents, where user space hands them over; absent: what the path of the lab's file system holds. */
  readonly bytes?: Uint8Array;
}
