/** Sinks for trace events. */
export {};
