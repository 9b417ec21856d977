/** Builds a Lab from a lab file: machine, kernel, user space. */
export {};
