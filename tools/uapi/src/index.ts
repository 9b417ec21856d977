/** Constants and struct layouts of the Linux user-space interface, by Linux path. */
export * from './bit.ts';
export * from './errno.ts';
export * from './ioctl.ts';
export * from './strerror.ts';
export * from './struct.ts';
