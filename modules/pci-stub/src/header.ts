/** No symbols are exported. */
export {};
