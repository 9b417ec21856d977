/** The kinds of calls that can be trapped, by name. */
import type { Lab } from '@vdpalab/lab';
import type { CallFamily } from './call.ts';
import type { HostProcesses } from './host-process.ts';
import { LogCalls } from './log-calls.ts';
import { ModuleCalls } from './module-calls.ts';
import { NetlinkCalls } from './netlink-calls.ts';

const makers = {
  netlink: (lab: Lab, processes: HostProcesses): CallFamily => new NetlinkCalls(lab, processes),
  modules: (lab: Lab, processes: HostProcesses): CallFamily => new ModuleCalls(lab, processes),
  log: (lab: Lab, processes: HostProcesses): CallFamily => new LogCalls(lab, processes),
};

/** A kind of calls. */
export type FamilyName = keyof typeof makers;

/** All of them. */
export const familyNames = Object.keys(makers) as readonly FamilyName[];

/** What answers the calls of each kind. */
export function callFamilies(lab: Lab, processes: HostProcesses, names: readonly FamilyName[]): CallFamily[] {
  return names.map((name) => makers[name](lab, processes));
}
