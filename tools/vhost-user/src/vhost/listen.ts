/** Sockets at paths. @see DPDK lib/vhost/socket.c */
import { closeSync, unlinkSync } from 'node:fs';
import { connectUnix, HostError, listenUnix } from '@vdpalab/libc';
import { refuse } from '../refuse.ts';

/**
 * A listening socket at a path; one that nobody listens at any more is replaced.
 *
 * @throws EADDRINUSE when somebody listens there; what the host says about the path
 */
export function bindAt(path: string): number {
  try {
    return listenUnix(path);
  } catch (error) {
    if (!(error instanceof HostError) || error.errno !== 'EADDRINUSE' || !abandoned(path)) throw socketError(error, path);
  }
  unlinkSync(path);
  try {
    return listenUnix(path);
  } catch (error) {
    throw socketError(error, path);
  }
}

function abandoned(path: string): boolean {
  try {
    closeSync(connectUnix(path));
    return false;
  } catch (error) {
    return error instanceof HostError && error.errno === 'ECONNREFUSED';
  }
}

function socketError(error: unknown, path: string): unknown {
  if (error instanceof RangeError) return refuse('socket.path', error.message, 'ENAMETOOLONG');
  if (!(error instanceof HostError)) return error;
  const inUse = error.errno === 'EADDRINUSE';
  return refuse('socket.bind', `${path}: ${inUse ? 'somebody listens there, or it is no socket' : error.message}`, inUse ? 'EADDRINUSE' : 'EACCES');
}
