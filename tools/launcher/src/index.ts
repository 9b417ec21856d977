/** Runs unmodified programs in a namespace in which the lab is the system. */
export {};
