/** vDPA Device Simulator for block device: exports nothing. */
export {};
