/** Mediated serial ports. Exports nothing: what there is to see is in sysfs and behind VFIO. */
export {};
