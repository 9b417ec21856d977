/** The table of refusals: every rule by which a call of the kernel can be refused. */
import type { Rule, RuleRows } from './rule.ts';
import { blockRules } from './rules/block.ts';
import { devlinkRules } from './rules/devlink.ts';
import { driverCoreRules } from './rules/driver-core.ts';
import { fsRules } from './rules/fs.ts';
import { labRules } from './rules/lab.ts';
import { mdevRules } from './rules/mdev.ts';
import { memoryRules } from './rules/memory.ts';
import { mlx5Rules } from './rules/mlx5.ts';
import { moduleRules } from './rules/module.ts';
import { netRules } from './rules/net.ts';
import { pciRules } from './rules/pci.ts';
import { ringRules } from './rules/ring.ts';
import { vdpaRules } from './rules/vdpa.ts';
import { vduseRules } from './rules/vduse.ts';
import { vfioPciRules } from './rules/vfio-pci.ts';
import { vfioRules } from './rules/vfio.ts';
import { vhostRules } from './rules/vhost.ts';
import { vhostUserRules } from './rules/vhost-user.ts';
import { virtioPciRules } from './rules/virtio-pci.ts';

/** A part of the table, as the page of errors has it. */
export interface RulePart {
  readonly title: string;
  readonly rules: readonly Rule[];
}

const part = (title: string, rows: RuleRows): RulePart => ({
  title, rules: Object.entries(rows).map(([id, [says, remedy, linux]]) => ({ id, says, remedy, linux })),
});

/** The table, by subsystem. */
export const ruleParts: readonly RulePart[] = [
  part('Modules', moduleRules),
  part('Devices, drivers, interrupts', driverCoreRules),
  part('PCI', pciRules),
  part('vDPA and virtio', vdpaRules),
  part('virtio on PCI', virtioPciRules),
  part('vhost', vhostRules),
  part('vhost-user', vhostUserRules),
  part('VDUSE', vduseRules),
  part('Mediated devices', mdevRules),
  part('ConnectX', mlx5Rules),
  part('VFIO', vfioRules),
  part('VFIO on PCI', vfioPciRules),
  part('Block devices', blockRules),
  part('Rings', ringRules),
  part('Memory, DMA, IOMMU', memoryRules),
  part('Network and netlink', netRules),
  part('Devlink and the auxiliary bus', devlinkRules),
  part('Files, processes, sockets', fsRules),
  part('The lab', labRules),
];

const byId: ReadonlyMap<string, Rule> = new Map(ruleParts.flatMap((p) => p.rules).map((rule) => [rule.id, rule]));

/** The entry of a rule; `null` for an id that the table does not have. */
export function findRule(id: string): Rule | null {
  return byId.get(id) ?? null;
}
