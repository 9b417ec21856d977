/** What the lab file says of a ConnectX function; keys are the lab file's. */
export interface ConnectxFunctionConfig {
  /** `08:00.0` */
  readonly at: string;
  readonly model: 'connectx';
  /** Largest number of subfunctions, 0 to 4096. */
  readonly subfunctions: number;
  /** MSI-X vectors, shared by the function and its subfunctions. */
  readonly vectors: number;
  /** Queue pairs of a virtio network device on a function. */
  readonly queue_pairs: number;
  readonly mtu: number;
  /** Of the physical function; subfunction n has this plus n + 1 until it is told another. */
  readonly mac?: string | undefined;
  /** Network the function and its subfunctions are plugged into. */
  readonly link?: string | undefined;
  /** Take frames for addresses that are not in the L2 table; true when absent. */
  readonly promisc?: boolean | undefined;
  /** Queues may be packed; false when absent. */
  readonly packed?: boolean | undefined;
  /** Capabilities the function does not have. */
  readonly without?: readonly ConnectxCapability[] | undefined;
}

/** Capabilities that can be left out. */
export type ConnectxCapability = 'sf' | 'split' | 'umem-uid-0' | 'virtio-1.0';
