/** What the lab file says of a device with assignable interfaces; keys are the lab file's. */
export interface SiovFunctionConfig {
  /** `07:00.0` */
  readonly at: string;
  readonly model: 'siov';
  /** Assignable interfaces, 1 to 32. */
  readonly adis: number;
  readonly queue_size: number;
  readonly mtu: number;
  /** Of interface 0; interface n has this plus n. */
  readonly mac?: string | undefined;
  /** Network the interfaces are plugged into. */
  readonly link?: string | undefined;
  /** Take frames for any address; true when absent. */
  readonly promisc?: boolean | undefined;
}
