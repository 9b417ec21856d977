/** Simulated hardware and the deterministic scheduler. */
export {};
