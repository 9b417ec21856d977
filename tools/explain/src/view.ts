/** What a remedy may ask of the lab as it is now. */

/** A loaded module. */
export interface ModuleNow {
  readonly name: string;
  readonly refcnt: number;
  /** Users, newest first. */
  readonly holders: readonly string[];
}

/** A device of a bus. */
export interface DeviceNow {
  readonly name: string;
  readonly bus: string;
  /** Bound driver. */
  readonly driver: string | null;
}

/** A process that has a file open. */
export interface OpenerNow {
  readonly pid: number;
  readonly comm: string;
  readonly path: string;
}

/** The lab as remedies see it. Called inside a task. */
export interface LabView {
  readonly modules: () => readonly ModuleNow[];
  /** Names of the modules in the tree. */
  readonly tree: () => readonly string[];
  /** The module of the tree that exports a symbol; `null` when none does or the kernel image has it. */
  readonly exporterOf: (symbol: string) => string | null;
  readonly devices: (bus?: string) => readonly DeviceNow[];
  /** Names of a bus's drivers. */
  readonly drivers: (bus: string) => readonly string[];
  /** Handles of management devices, as `vdpa dev add` takes them. */
  readonly managers: () => readonly string[];
  /** Processes that have a file open, by what its path begins with. */
  readonly openers: (path: string) => readonly OpenerNow[];
  /** Names in a directory; `null` where there is none. */
  readonly entries: (path: string) => Promise<readonly string[] | null>;
  /** A file's text without the newline; `null` where there is none. */
  readonly text: (path: string) => Promise<string | null>;
  /** Network interfaces. */
  readonly interfaces: () => readonly string[];
}
