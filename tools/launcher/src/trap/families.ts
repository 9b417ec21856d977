/** What answers each kind of calls. */
import type { HostProcesses } from '@vdpalab/fusefs';
import type { Lab } from '@vdpalab/lab';
import type { TrapRule } from '@vdpalab/libc';
import type { CallFamily } from './call.ts';
import { DescriptorCalls, descriptorRules, type PassFile } from './descriptor-calls.ts';
import type { FamilyName } from './family-names.ts';
import { LogCalls, logRules } from './log-calls.ts';
import { ModuleCalls, moduleRules } from './module-calls.ts';
import { NetlinkCalls, netlinkRules } from './netlink-calls.ts';
import { StatCalls, statRules, type FindDevice } from './stat-calls.ts';

/** What families answer from. */
export interface FamilyWorld {
  readonly lab: Lab;
  readonly processes: HostProcesses;
  /** `null` where the lab's files are not mounted. */
  readonly pass: PassFile | null;
  readonly findDevice: FindDevice | null;
}

interface Kind {
  /** Which calls wait. */
  readonly rules: readonly TrapRule[];
  readonly make: (world: FamilyWorld) => CallFamily;
}

const kinds = {
  netlink: { rules: netlinkRules, make: ({ lab, processes }) => new NetlinkCalls(lab, processes) },
  modules: { rules: moduleRules, make: ({ lab, processes }) => new ModuleCalls(lab, processes) },
  log: { rules: logRules, make: ({ lab, processes }) => new LogCalls(lab, processes) },
  vfio: { rules: descriptorRules, make: ({ processes, pass }) => new DescriptorCalls(processes, pass) },
  devices: { rules: statRules, make: ({ findDevice }) => new StatCalls(findDevice) },
} as const satisfies Readonly<Record<FamilyName, Kind>>;

/** Which calls wait: one rule for each number. */
export function rulesOf(names: readonly FamilyName[]): readonly TrapRule[] {
  const byNumber = new Map<number, TrapRule>();
  for (const rule of names.flatMap((name): readonly TrapRule[] => kinds[name].rules)) {
    const { nr, when } = byNumber.get(rule.nr) ?? { ...rule, when: [] };
    byNumber.set(nr, when === undefined || rule.when === undefined ? { nr } : { nr, when: [...when, ...rule.when] });
  }
  return [...byNumber.values()];
}

/** What answers the calls of these kinds, and by the number of the call who may. */
export function callFamilies(world: FamilyWorld, names: readonly FamilyName[]): { readonly all: readonly CallFamily[]; readonly byNumber: ReadonlyMap<number, readonly CallFamily[]> } {
  const made = names.map((name) => ({ family: kinds[name].make(world), numbers: rulesOf([name]).map(({ nr }) => nr) }));
  const numbers = new Set(made.flatMap((one) => one.numbers));
  return {
    all: made.map(({ family }) => family),
    byNumber: new Map([...numbers].map((nr) => [nr, made.filter((one) => one.numbers.includes(nr)).map(({ family }) => family)])),
  };
}
