/** What a model of a PCI function is made from. */
import type { EthernetSwitch } from '../net/switch.ts';
import type { Wire } from '../net/wire.ts';
import type { FunctionSite, PciFunction } from './function.ts';
import type { PciBusHost } from './host.ts';

/** What a model is given besides its part of the lab file. */
export interface ModelContext {
  readonly site: FunctionSite;
  readonly host: PciBusHost;
  /** By name. */
  readonly networks: ReadonlyMap<string, EthernetSwitch | Wire>;
  /** Whether other functions share the device number. */
  readonly multifunction: boolean;
  /** Next higher devfn of a function on the bus, where routing ids have no device number (ARI); 0 for none. */
  readonly nextFunction: number;
}

/** What the lab file says of every function; each model has more. */
export interface FunctionConfig {
  /** `07:00.0` */
  readonly at: string;
  readonly model: string;
}

/** Makes a function of one model. */
export type PciModel<C extends FunctionConfig> = (context: ModelContext, config: C) => PciFunction;
