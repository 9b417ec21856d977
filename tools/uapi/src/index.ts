/** Constants and struct layouts of the Linux user-space interface, by Linux path. */
export {};
