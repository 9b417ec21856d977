/** Start one module by hand, with a symbol table of the test's own making. No loader is involved. */
import { UndoStack, versionCodeOf, withUndo } from '@vdpalab/abi';
import type { KModule, ParamSpecs, ParamValues, ThisModule } from '@vdpalab/abi';

/** The part of a typed module that is needed to start it. */
export interface Startable<K, P extends ParamSpecs, S> {
  readonly name: string;
  readonly params: P;
  readonly module_init: (k: K, mod: ThisModule<P>) => Promise<Started<S>> | Started<S>;
}

/** What `module_init` hands back. */
export interface Started<S> {
  readonly ksymtab: S;
  readonly module_exit?: (() => Promise<void> | void) | null;
}

/** A module that was started. */
export interface RunningModule<S> {
  /** Its exported functions. */
  readonly ksymtab: S;
  readonly THIS_MODULE: KModule;
  /** What is on its undo stack, oldest first. */
  readonly held: () => readonly string[];
  /** Leave as the loader does: `module_exit`, then the undo stack. */
  readonly exit: () => Promise<void>;
}

/**
 * Run `module_init` with these symbols.
 *
 * @param k every symbol the module imports; a forgotten one does not compile
 * @param params values that differ from the declared defaults
 * @param LINUX_VERSION_CODE release whose behaviour it is to have
 * @throws whatever init throws, after its undo stack has run
 */
export async function startModule<K, P extends ParamSpecs, S>(
  module: Startable<K, P, S>, k: NoInfer<K>, params: Partial<ParamValues<P>> = {}, LINUX_VERSION_CODE: number = versionCodeOf('6.1'),
): Promise<RunningModule<S>> {
  const defaults = Object.fromEntries(Object.entries(module.params).map(([name, spec]) => [name, spec.default]));
  const undo = new UndoStack();
  const THIS_MODULE: KModule = { name: module.name, state: 'live' };
  const mod: ThisModule<P> = {
    THIS_MODULE,
    LINUX_VERSION_CODE,
    params: { ...defaults, ...params } as ParamValues<P>, // built from the same table, key by key
    undo,
  };
  const { ksymtab, module_exit } = await withUndo(undo, async () => module.module_init(k, mod));
  return {
    ksymtab,
    THIS_MODULE,
    held: () => undo.held,
    exit: async () => {
      await module_exit?.();
      await undo.run();
    },
  };
}

/**
 * A symbol that the tested path must not touch.
 *
 * @param name what the error says was used
 */
export function unused(name: string): never {
  const refuse = (): never => {
    throw new Error(`${name} was not meant to be used here`);
  };
  return new Proxy(refuse, { get: refuse, apply: refuse, has: refuse }) as never; // fits any symbol's type, and whatever is asked of it throws
}
