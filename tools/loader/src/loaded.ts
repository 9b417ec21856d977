/** `struct module`: one loaded module with its state, references and use edges. */
import { UndoStack } from '@vdpalab/abi';
import type { KModule, LinkedInit, ModuleNote, ModuleParameter, ModuleSection, ModuleState, ModuleView } from '@vdpalab/abi';
import type { ModuleImage } from './image.ts';
import { moduleNotes, moduleSections } from './sections.ts';
import { moduleTaintLetters, TAINT } from './taint.ts';

const PAGE = 4096;
const pages = (bytes: number): number => Math.ceil(bytes / PAGE) * PAGE;

/** What the loader's own reference adds to the counter: `MODULE_REF_BASE`. */
const REF_BASE = 1;

/** A module in the loader's list; outside it is a {@link ModuleView}. */
export class LoadedModule implements ModuleView {
  readonly name: string;
  readonly image: ModuleImage;
  readonly builtin: boolean;
  /** Whole pages, at least one. */
  readonly size: number;
  readonly version: string | undefined;
  readonly srcversion: string | undefined;
  state: ModuleState = 'unformed';
  address = 0n;
  taints = 0;
  usesGplOnly = false;
  permanent = false;
  parameters: readonly ModuleParameter[] = [];
  /** Current parameter values, shared with the module's code. */
  readonly values: Record<string, unknown> = {};
  /** Modules whose symbols this one uses, newest first: `target_list`. */
  readonly uses: LoadedModule[] = [];
  /** Modules that use this one, newest first: `source_list`. */
  readonly users: LoadedModule[] = [];
  /** What the module's init acquired. */
  readonly undo = new UndoStack();
  exit: LinkedInit['module_exit'];
  /** `mod->refcnt`: {@link REF_BASE} more than user space sees; 0 once released. */
  #refs = 0;
  readonly #initSize: number;

  constructor(image: ModuleImage, builtin: boolean) {
    this.name = image.definition.name;
    this.image = image;
    this.builtin = builtin;
    const { definition, info } = image;
    this.size = pages(Math.max(info.size, 1));
    this.#initSize = pages(info.initSize ?? 0);
    this.version = definition.version;
    this.srcversion = image.info.srcversion;
  }

  /** `module_refcount`: -1 once the module is on its way out. */
  get refcnt(): number {
    return this.builtin ? 0 : this.#refs - REF_BASE;
  }

  /** Bytes that go when init has run. */
  get initSize(): number {
    return this.state === 'live' || this.state === 'going' ? 0 : this.#initSize;
  }

  get holders(): readonly string[] {
    return this.users.map((user) => user.name);
  }

  get sections(): readonly ModuleSection[] {
    return this.builtin ? [] : moduleSections(this.image, this.address, this.size);
  }

  get notes(): readonly ModuleNote[] {
    return this.builtin ? [] : moduleNotes(this.image);
  }

  get taint(): string {
    return moduleTaintLetters(this.taints);
  }

  get proprietary(): boolean {
    return (this.taints & (1 << TAINT.PROPRIETARY_MODULE)) !== 0;
  }

  /** `module_unload_init`: the base reference, and one held while init runs. */
  startRefs(): void {
    this.#refs = REF_BASE + 1;
  }

  /** `try_module_get`: fails once the module is going, released or gone. */
  tryGet(): boolean {
    if (this.builtin) return true;
    if (this.state === 'going' || this.state === 'unformed' || this.#refs === 0) return false;
    this.#refs++;
    return true;
  }

  /** `__module_get` */
  get(): void {
    if (!this.builtin) this.#refs++;
  }

  /** `module_put`. @throws Error when there is no reference to drop: a bug of the caller, which Linux only warns of */
  put(): void {
    if (this.builtin) return;
    if (this.#refs === 0) throw new Error(`module_put(${this.name}): no reference is held`);
    this.#refs--;
  }

  /** `try_release_module_ref`: drop the base reference if it is the last. @returns whether the module is released */
  tryRelease(): boolean {
    if (this.#refs !== REF_BASE) return false;
    this.#refs = 0;
    return true;
  }

  /** `ref_module`: one edge per user module, however many symbols. The reference has been taken. */
  addUser(user: LoadedModule): void {
    this.users.unshift(user);
    user.uses.unshift(this);
  }

  /** `module_unload_free`: drop the edges to all providers, and their references. */
  dropUses(): void {
    for (const provider of this.uses.splice(0)) {
      provider.users.splice(provider.users.indexOf(this), 1);
      provider.put();
    }
  }
}

/** Whether a load of this name is under way, so that others of the name wait. */
export function unsettled(mod: LoadedModule | undefined): boolean {
  return mod !== undefined && (mod.state === 'coming' || mod.state === 'unformed');
}

/** Whether two module names are the same, `-` and `_` being equal. */
export function sameName(a: string, b: string): boolean {
  return a.replaceAll('-', '_') === b.replaceAll('-', '_');
}

/** The loader's own object behind a handle. @throws TypeError for a handle that is none */
export function own(module: KModule): LoadedModule {
  if (!(module instanceof LoadedModule)) throw new TypeError(`${module.name}: not a module of a loader`);
  return module;
}
