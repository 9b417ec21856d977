/** Failures at every step: the n-th call of any of some symbols fails. */
import { KernelError } from '@vdpalab/abi';
import type { BootOptions } from '@vdpalab/testing';

/** Counts calls and makes one of them fail. */
export interface FaultInjector {
  readonly wrap: NonNullable<BootOptions['wrap']>;
  /** Let the n-th call from now on fail, counted from 1; 0 lets all pass. */
  readonly arm: (n: number) => void;
  /** What failed since {@link arm}, such as `pci kernfs_create_link`. */
  readonly fired: () => string | null;
}

/** @param symbols that may fail, by importer */
export function faultInjector(symbols: Readonly<Record<string, readonly string[]>>): FaultInjector {
  let left = 0;
  let fired: string | null = null;
  return {
    wrap(symbol, value, importer) {
      if (typeof value !== 'function' || symbols[importer]?.includes(symbol) !== true) return value;
      return (...args: unknown[]): unknown => {
        if (left > 0 && --left === 0) {
          fired = `${importer} ${symbol}`;
          throw new KernelError('ENOMEM', 'test.injected', `${fired}: injected`);
        }
        return (value as (...args: unknown[]) => unknown)(...args);
      };
    },
    arm(n) {
      left = n;
      fired = null;
    },
    fired: () => fired,
  };
}
