/** The way from one migration state to another. Mirrors `vfio_mig_get_next_state` in `drivers/vfio/vfio_main.c` (Linux 6.1, and 6.12 for PRE_COPY). */
import {
  VFIO_DEVICE_STATE_ERROR, VFIO_DEVICE_STATE_NR, VFIO_DEVICE_STATE_PRE_COPY, VFIO_DEVICE_STATE_PRE_COPY_P2P, VFIO_DEVICE_STATE_RESUMING,
  VFIO_DEVICE_STATE_RUNNING, VFIO_DEVICE_STATE_RUNNING_P2P, VFIO_DEVICE_STATE_STOP, VFIO_DEVICE_STATE_STOP_COPY, VFIO_MIGRATION_P2P,
  VFIO_MIGRATION_PRE_COPY, VFIO_MIGRATION_STOP_COPY,
} from '@vdpalab/uapi';

const ERROR = VFIO_DEVICE_STATE_ERROR;
const STOP = VFIO_DEVICE_STATE_STOP;
const RUNNING = VFIO_DEVICE_STATE_RUNNING;
const STOP_COPY = VFIO_DEVICE_STATE_STOP_COPY;
const RESUMING = VFIO_DEVICE_STATE_RESUMING;
const P2P = VFIO_DEVICE_STATE_RUNNING_P2P;
const PRE = VFIO_DEVICE_STATE_PRE_COPY;
const PRE_P2P = VFIO_DEVICE_STATE_PRE_COPY_P2P;

/** By state and wanted state, in the order of their numbers: the first step. */
const NEXT: readonly (readonly number[])[] = [
  //  ERROR  STOP   RUNNING  STOP_COPY RESUMING P2P   PRE    PRE_P2P
  [ERROR, ERROR, ERROR, ERROR, ERROR, ERROR, ERROR, ERROR],
  [ERROR, STOP, P2P, STOP_COPY, RESUMING, P2P, P2P, P2P],
  [ERROR, P2P, RUNNING, P2P, P2P, P2P, PRE, P2P],
  [ERROR, STOP, STOP, STOP_COPY, STOP, STOP, ERROR, ERROR],
  [ERROR, STOP, STOP, STOP, RESUMING, STOP, STOP, STOP],
  [ERROR, STOP, RUNNING, STOP, STOP, P2P, RUNNING, PRE_P2P],
  [ERROR, RUNNING, RUNNING, PRE_P2P, RUNNING, RUNNING, PRE, PRE_P2P],
  [ERROR, P2P, P2P, STOP_COPY, P2P, P2P, PRE, PRE_P2P],
];

/** What a device must be able to, for each state to be one of its. */
const NEEDS: readonly number[] = [
  ~0, VFIO_MIGRATION_STOP_COPY, VFIO_MIGRATION_STOP_COPY, VFIO_MIGRATION_STOP_COPY, VFIO_MIGRATION_STOP_COPY,
  VFIO_MIGRATION_STOP_COPY | VFIO_MIGRATION_P2P, VFIO_MIGRATION_STOP_COPY | VFIO_MIGRATION_PRE_COPY,
  VFIO_MIGRATION_STOP_COPY | VFIO_MIGRATION_P2P | VFIO_MIGRATION_PRE_COPY,
];

/**
 * The next state on the way; states the device does not have are passed by.
 *
 * @param flags VFIO_MIGRATION_* of the device
 * @returns `null` where no way leads, or a state is none of the device's
 */
export function nextMigrationState(flags: number, from: number, to: number): number | null {
  const has = (state: number): boolean => ((NEEDS[state] ?? ~0) & ~flags) === 0;
  if (from >= VFIO_DEVICE_STATE_NR || !has(from)) return null;
  if (to >= VFIO_DEVICE_STATE_NR || !has(to)) return null;
  let next = NEXT[from]?.[to] ?? ERROR; // inside: just looked
  while (next !== ERROR && !has(next)) next = NEXT[next]?.[to] ?? ERROR;
  return next === ERROR ? null : next;
}
