/** The kernel half of module loading. */
export {};
