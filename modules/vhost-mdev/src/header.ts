/** The vDPA bus driver for VFIO. Exports nothing: what there is to see is in /dev/vfio and on the buses. */
export {};
