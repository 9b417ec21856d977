/** The vdpalab command. */
export {};
