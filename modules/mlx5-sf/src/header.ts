/** Virtio network devices of ConnectX subfunctions. Exports nothing: its devices are on the vDPA bus. */
export {};
