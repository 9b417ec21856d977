/** What the lab file says of an N3000. */
import type { MigrationProfile } from './lm-region.ts';
import type { OptionalFeature } from './settings.ts';

/** One physical function; keys are the lab file's. */
export interface N3000FunctionConfig {
  /** `07:00.0` */
  readonly at: string;
  readonly model: 'n3000';
  /** Ids of the physical function. */
  readonly ids: {
    readonly vendor?: number | undefined;
    readonly device?: number | undefined;
    readonly subvendor?: number | undefined;
    readonly subdevice?: number | undefined;
  };
  readonly sriov: { readonly total: number; readonly offset: number; readonly stride: number };
  /** Of each function. */
  readonly queue_pairs: number;
  readonly queue_size: number;
  readonly mtu: number;
  /** Of the physical function; virtual function n has this plus n + 1. */
  readonly mac?: string | undefined;
  /** Network the functions are plugged into. */
  readonly link?: string | undefined;
  /** By the virtual function's number. */
  readonly vfs: Readonly<Record<string, {
    readonly mac?: string | undefined;
    readonly learning?: boolean | undefined;
    readonly link?: string | undefined;
  }>>;
  /** Take frames for any address; true when absent. */
  readonly promisc?: boolean | undefined;
  /** Features the functions do not offer. */
  readonly without?: readonly OptionalFeature[] | undefined;
  /** How ring state is addressed; `pairs` when absent. */
  readonly lm_profile?: MigrationProfile | undefined;
}
