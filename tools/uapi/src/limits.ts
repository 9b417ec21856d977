/** `linux/limits.h` (Linux 6.1): limits of names and pipes, in bytes. */

export const NAME_MAX = 255;
export const PATH_MAX = 4096;
export const PIPE_BUF = 4096;

// linux/uio.h: pieces of one scattered read or write.
export const UIO_MAXIOV = 1024;
