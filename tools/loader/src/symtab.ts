/** The kernel's table of exported symbols. */
import type { LoadedModule } from './loaded.ts';

/** One exported symbol. */
export interface KernelSymbol {
  readonly name: string;
  readonly value: unknown;
  /** The module that exports it; `null` for the kernel image itself. */
  readonly owner: LoadedModule | null;
  readonly gplOnly: boolean;
  /** Empty for none. */
  readonly namespace: string;
  /** `undefined` when the exporter was built without CRCs: then nothing is compared. */
  readonly crc: number | undefined;
}

/** One exported symbol as the graph and the docs see it. */
export interface SymbolInfo {
  readonly name: string;
  /** Module name, or `vmlinux`. */
  readonly owner: string;
  /** Whether the owner is part of the kernel image: then no use edge is made. */
  readonly builtin: boolean;
  readonly gplOnly: boolean;
  readonly namespace: string;
  readonly crc: number | undefined;
}

/** All exported symbols by name; a flat namespace, one owner each. */
export class SymbolTable {
  readonly #byName = new Map<string, KernelSymbol>();

  /** Number of symbols. */
  get size(): number {
    return this.#byName.size;
  }

  /**
   * Find a symbol.
   *
   * @param gplOk false for a module with the proprietary taint: GPL-only symbols do not exist for it
   */
  find(name: string, gplOk: boolean): KernelSymbol | undefined {
    const symbol = this.#byName.get(name);
    return symbol === undefined || (symbol.gplOnly && !gplOk) ? undefined : symbol;
  }

  /** Add a symbol; the caller has made sure that the name is free. */
  add(symbol: KernelSymbol): void {
    if (this.#byName.has(symbol.name)) throw new Error(`symbol ${symbol.name} is in the table already`);
    this.#byName.set(symbol.name, symbol);
  }

  /** Give an exporting module's placeholder its function, once init has made it. */
  define(name: string, owner: LoadedModule, value: unknown): void {
    const symbol = this.#byName.get(name);
    if (symbol === undefined || symbol.owner !== owner) throw new Error(`${owner.name} does not export ${name}`);
    this.#byName.set(name, { ...symbol, value });
  }

  /** Take out everything a module exports. */
  removeOwner(owner: LoadedModule): void {
    for (const [name, symbol] of this.#byName) if (symbol.owner === owner) this.#byName.delete(name);
  }

  /** All symbols, in the order they were exported. */
  list(): readonly SymbolInfo[] {
    return [...this.#byName.values()].map((s) => ({
      name: s.name,
      owner: s.owner?.name ?? 'vmlinux',
      builtin: s.owner === null || s.owner.builtin,
      gplOnly: s.gplOnly,
      namespace: s.namespace,
      crc: s.crc,
    }));
  }
}
