/** vDPA Device Simulator for networking device: exports nothing. */
export {};
