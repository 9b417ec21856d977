/** System calls of the host that Node lacks, through koffi where it is installed. */
export { descriptorLink } from './descriptor.ts';
export { eventfd, isEventfd, signalEventfd, takeEventfd } from './eventfd.ts';
export { addressOf, checked, HostError, hostAvailable, HostUnavailableError, libc, lastErrno } from './host.ts';
export { addSeals, F_SEAL_SHRINK, fileShape, mapBeside, mapInside, memfd, sealsOf } from './mapping.ts';
export type { Mapping } from './mapping.ts';
export { pidfdGetfd, pidfdOpen, takeFd } from './pidfd.ts';
export { isHungUp, isReadable, isWritable, watchReadable } from './poll.ts';
export type { Watch } from './poll.ts';
export { moveMany, readMemory, writeMemory } from './process-memory.ts';
export { installTrap, SeccompListener, whyNoSeccomp } from './seccomp.ts';
export { trapFilter } from './seccomp-filter.ts';
export type { ArgumentTest, TrapRule } from './seccomp-filter.ts';
export { acceptUnix, connectUnix, listenUnix, receiveFds, sendFds, socketPair } from './socket.ts';
export type { Received } from './socket.ts';
export { guardMapping, type ShrinkGuard } from './shrink-guard.ts';
