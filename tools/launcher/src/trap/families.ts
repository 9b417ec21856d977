/** What answers each kind of calls. */
import type { Lab } from '@vdpalab/lab';
import type { TrapRule } from '@vdpalab/libc';
import type { CallFamily } from './call.ts';
import type { FamilyName } from './family-names.ts';
import type { HostProcesses } from './host-process.ts';
import { LogCalls, logRules } from './log-calls.ts';
import { ModuleCalls, moduleRules } from './module-calls.ts';
import { NetlinkCalls, netlinkRules } from './netlink-calls.ts';

interface Kind {
  /** Which calls wait. */
  readonly rules: readonly TrapRule[];
  readonly make: (lab: Lab, processes: HostProcesses) => CallFamily;
}

const kinds = {
  netlink: { rules: netlinkRules, make: (lab, processes) => new NetlinkCalls(lab, processes) },
  modules: { rules: moduleRules, make: (lab, processes) => new ModuleCalls(lab, processes) },
  log: { rules: logRules, make: (lab, processes) => new LogCalls(lab, processes) },
} as const satisfies Readonly<Record<FamilyName, Kind>>;

/** Which calls wait. */
export function rulesOf(names: readonly FamilyName[]): readonly TrapRule[] {
  return names.flatMap((name): readonly TrapRule[] => kinds[name].rules);
}

/** What answers the calls of these kinds, by the number of the call. */
export function callFamilies(lab: Lab, processes: HostProcesses, names: readonly FamilyName[]): { readonly all: readonly CallFamily[]; readonly byNumber: ReadonlyMap<number, CallFamily> } {
  const made = names.map((name) => ({ family: kinds[name].make(lab, processes), rules: rulesOf([name]) }));
  return { all: made.map(({ family }) => family), byNumber: new Map(made.flatMap(({ family, rules }) => rules.map(({ nr }) => [nr, family] as const))) };
}
