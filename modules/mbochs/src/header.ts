/** Mediated displays in the manner of the Bochs VGA. Exports nothing: what there is to see is in sysfs and behind VFIO. */
export {};
