/** The lab's files as a file system of the host, over the raw FUSE protocol. */
export {};
