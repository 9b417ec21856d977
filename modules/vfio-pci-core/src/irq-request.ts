/** A VFIO_DEVICE_SET_IRQS taken apart. */
import type { Atomic } from '@vdpalab/abi';
import type { Process } from '@vdpalab/fs';
import type { IrqContext, VfioPci } from './device.ts';

/** What was asked for; of `bools` and `fds` the one that `flags` says has `count` elements. */
export interface IrqRequest {
  readonly index: number;
  readonly start: number;
  readonly count: number;
  readonly flags: number;
  readonly bools: readonly boolean[];
  readonly fds: readonly number[];
  readonly proc: Process;
}

/** An interrupt without an eventfd. */
export function newContext(): IrqContext {
  return { trigger: null, producer: null, unmask: { virqfd: null }, masked: false };
}

/** Signal an interrupt's eventfd, if it has one. */
export function signal({ k }: VfioPci, { trigger }: IrqContext): Atomic {
  return trigger === null ? undefined : k.eventfd_signal(trigger, 1);
}
