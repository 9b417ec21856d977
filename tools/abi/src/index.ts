/** What every room shares: defineModule, KernelSymbols, KernelError, the undo stack and the Machine interface. */
export {};
