/** The VFIO bus driver for mediated devices of 2016. Exports nothing: what there is to see is in sysfs and behind VFIO. */
export {};
