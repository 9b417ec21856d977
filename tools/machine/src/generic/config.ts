/** What the lab file says of a function that is nothing but its configuration space; keys are the lab file's. */
export interface GenericFunctionConfig {
  /** `02:00.0` */
  readonly at: string;
  readonly model: 'generic';
  /** Lines of `lspci -x`, `-xxx` or `-xxxx`. */
  readonly config: string;
  /** Bytes of each BAR, by number; of what kind it is the dump says. */
  readonly bars: Readonly<Record<string, number>>;
  /** Bytes of the expansion ROM. */
  readonly rom?: number | undefined;
  /** Its virtual functions, where the dump has SR-IOV. */
  readonly vf?: {
    readonly config: string;
    /** Bytes of each BAR of one virtual function. */
    readonly bars: Readonly<Record<string, number>>;
  } | undefined;
}
