/**
 * What `linux/module.h` is: how a module says its name, its needs and its exports.
 *
 * Everything but `module_init` is data, readable without running anything: depmod, modinfo, the docs and the graph
 * read it. A header merges the symbols it declares into {@link KernelSymbols}; the loader hands `module_init`
 * exactly the imported ones.
 */
import type { KernelSymbols } from './index.ts';
import type { KModule } from './kmodule.ts';
import type { ParamSpecs, ParamValues } from './param.ts';
import type { UndoStack } from './undo.ts';

/** A symbol's name. */
export type SymbolName = keyof KernelSymbols & string;

/** Licence strings the kernel takes as compatible with the GPL, and others. */
export type License =
  | 'GPL' | 'GPL v2' | 'GPL and additional rights' | 'Dual BSD/GPL' | 'Dual MIT/GPL' | 'Dual MPL/GPL' | 'Proprietary'
  | (string & {});

type Names = readonly SymbolName[];
type NsNames = Readonly<Record<string, Names>>;
type NsSymbol<N extends NsNames> = N[keyof N][number];

/** The loaded module as its own code sees it. */
export interface ThisModule<P extends ParamSpecs = ParamSpecs> {
  /** `THIS_MODULE`: what `try_module_get` takes and ops tables name as owner. */
  readonly THIS_MODULE: KModule;
  /** Release whose behaviour the kernel has, as `KERNEL_VERSION` counts: a module that knows later ways asks it. */
  readonly LINUX_VERSION_CODE: number;
  /** Current parameter values; a store to the sysfs file changes them. */
  readonly params: ParamValues<P>;
  /** What init acquires goes here; run in reverse when init fails and after `module_exit`. */
  readonly undo: UndoStack;
}

/** What a successful init hands to the loader. */
export interface InitResult<S extends SymbolName> {
  /** The exported functions. */
  readonly ksymtab: Pick<KernelSymbols, S>;
  /**
   * Runs before the undo stack. `null` makes the module permanent, as an init without an exit does; absent, there is
   * nothing to do beyond the undo stack, as in a module with neither.
   */
  readonly module_exit?: (() => Promise<void> | void) | null;
  /** What init returned when that was above 0: the kernel warns and loads the module anyway. */
  readonly returned?: number;
}

/** A module as written by its author. */
export interface ModuleSource<
  I extends Names, W extends Names, E extends Names, G extends Names, N extends NsNames, P extends ParamSpecs,
> {
  /** Linux's name, with `_`, as lsmod shows it. */
  readonly name: string;
  readonly license: License;
  readonly description?: string;
  readonly author?: string;
  readonly version?: string;
  /** Part of the kernel image: loaded at boot, never unloaded, not in /proc/modules. */
  readonly builtin?: boolean;
  /** `MODULE_ALIAS` and device-table aliases, wildcards allowed. */
  readonly alias?: readonly string[];
  /** `MODULE_SOFTDEP` lines: `pre: a b post: c`. */
  readonly softdep?: readonly string[];
  readonly params?: P;
  readonly imports?: I;
  /** Symbols that may be missing: then `undefined`. */
  readonly weakImports?: W;
  /** `MODULE_IMPORT_NS` */
  readonly importNs?: readonly string[];
  /** `EXPORT_SYMBOL` */
  readonly exports?: E;
  /** `EXPORT_SYMBOL_GPL` */
  readonly exportsGpl?: G;
  /** `EXPORT_SYMBOL_NS_GPL`, by namespace */
  readonly exportsNs?: N;
  /**
   * Start the module.
   *
   * @returns the symbol table's functions, and how to leave
   * @throws KernelError the load fails with its errno, and everything on the undo stack is given back
   */
  readonly module_init: (
    k: Pick<KernelSymbols, I[number]> & Partial<Pick<KernelSymbols, W[number]>>,
    mod: ThisModule<P>,
  ) => Promise<InitResult<E[number] | G[number] | NsSymbol<N>>> | InitResult<E[number] | G[number] | NsSymbol<N>>;
}

/** A module as the loader, depmod and the docs see it: names are plain strings. */
export interface ModuleDefinition {
  readonly name: string;
  readonly license: string;
  readonly description: string | undefined;
  readonly author: string | undefined;
  readonly version: string | undefined;
  readonly builtin: boolean;
  readonly alias: readonly string[];
  readonly softdep: readonly string[];
  readonly params: ParamSpecs;
  readonly imports: readonly string[];
  readonly weakImports: readonly string[];
  readonly importNs: readonly string[];
  readonly exports: readonly string[];
  readonly exportsGpl: readonly string[];
  readonly exportsNs: Readonly<Record<string, readonly string[]>>;
  /** Called by the loader with the linked symbols; the types were checked where the module was defined. */
  readonly module_init: (k: Readonly<Record<string, unknown>>, mod: ThisModule) => Promise<LinkedInit>;
}

/** What an init gives the loader, untyped. */
export interface LinkedInit {
  readonly ksymtab: Readonly<Record<string, unknown>>;
  readonly module_exit?: (() => Promise<void> | void) | null | undefined;
  readonly returned?: number | undefined;
}

/** A {@link ModuleDefinition} that keeps its typed init, so that a unit test needs no loader. */
export interface TypedModule<
  I extends Names, W extends Names, E extends Names, G extends Names, N extends NsNames, P extends ParamSpecs,
> extends Omit<ModuleDefinition, 'module_init' | 'params'> {
  readonly params: P;
  readonly module_init: ModuleSource<I, W, E, G, N, P>['module_init'];
}

/** Define a module; the default export of a module's `module.ts`. */
export function defineModule<
  const I extends Names = [], const W extends Names = [], const E extends Names = [], const G extends Names = [],
  const N extends NsNames = Record<never, never>, const P extends ParamSpecs = Record<never, never>,
>(source: ModuleSource<I, W, E, G, N, P>): TypedModule<I, W, E, G, N, P> {
  return {
    name: source.name,
    license: source.license,
    description: source.description,
    author: source.author,
    version: source.version,
    builtin: source.builtin ?? false,
    alias: source.alias ?? [],
    softdep: source.softdep ?? [],
    params: source.params ?? ({} as P), // an absent table is the empty one
    imports: source.imports ?? [],
    weakImports: source.weakImports ?? [],
    importNs: source.importNs ?? [],
    exports: source.exports ?? [],
    exportsGpl: source.exportsGpl ?? [],
    exportsNs: source.exportsNs ?? {},
    module_init: source.module_init,
  };
}
