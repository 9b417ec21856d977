/** User space inside the lab: libc-like calls and programs. */
export {};
