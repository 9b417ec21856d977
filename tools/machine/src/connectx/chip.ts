/** What the parts of a device share. */
import type { DmaPort } from '../dma.ts';
import type { HwMachine } from '../machine.ts';
import type { NetPort } from '../net/port.ts';
import type { ConnectxFunctionConfig } from './config.ts';
import type { KeyFault, MemoryKeys } from './memory-keys.ts';
import type { L2Table } from './l2-table.ts';

/** The device, as its functions see it. */
export interface Chip {
  /** The physical function's bdf. */
  readonly name: string;
  readonly hw: HwMachine;
  readonly config: ConnectxFunctionConfig;
  readonly keys: MemoryKeys;
  readonly l2: L2Table;
  /** The way to memory of all functions; `null` without bus mastering. */
  readonly dma: () => DmaPort | null;
  /** Fire an MSI-X vector of the physical function. */
  readonly interrupt: (vector: number) => undefined;
  readonly keyFault: (fault: KeyFault) => undefined;
  /** Plug a function into the network; `null` without one. */
  readonly plug: (name: string) => NetPort | null;
  /** Whether the cable is in. */
  readonly link: () => boolean;
}
