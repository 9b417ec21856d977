/** vDPA devices of assignable interfaces. Exports nothing: what there is to see is in sysfs and on the vDPA bus. */
export {};
