/**
 * What a function that runs in atomic context returns when it has nothing to say.
 *
 * Never `void`: TypeScript lets an async function fit a `void` slot, and atomic code may not sleep.
 */
export type Atomic = undefined;

/** A 64-bit quantity of a user interface: feature bits, addresses in ioctl structs. */
export type U64 = bigint;
