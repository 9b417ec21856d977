/** The table of feature rows: what vdpalab sets out to show, and where it lives. */
import { linuxRows } from './rows-linux.ts';
import { seedRows } from './rows-seeds.ts';
import { scenarioRows, userRows } from './rows-user.ts';

const tuples = [...seedRows, ...linuxRows, ...userRows, ...scenarioRows] as const;

/** Id of a row: `2.4.9`, or `F3` for an acceptance scenario. */
export type RowId = (typeof tuples)[number][0];

/** 1 = a seed names it or such a row needs it, 2 = expected in the field, 3 = completeness. */
export type Priority = 1 | 2 | 3;

/** One row of the table. */
export interface FeatureRow {
  readonly id: RowId;
  /** Section the row belongs to: `2.4`, or `F`. */
  readonly part: string;
  readonly priority: Priority;
  readonly name: string;
  /** Packages that carry the behaviour; some are still to come. */
  readonly livesIn: readonly string[];
}

/** Titles of the parts, in table order. */
export const partTitles: Readonly<Record<string, string>> = {
  '1.1': 'vDPA bus and general model',
  '1.2': 'Bus drivers',
  '1.3': 'DMA model',
  '1.4': 'Management',
  '1.5': 'The sysfs session',
  '1.6': "DPDK's IFCVF driver, 2018",
  '1.7': 'Mediated devices, 2016',
  '1.8': 'Modules and how the project is used',
  '1.9': 'Small items',
  '2.1': 'vDPA core',
  '2.2': 'vdpa_config_ops',
  '2.3': 'Management netlink',
  '2.4': 'The vhost-vdpa device',
  '2.5': 'IOTLB and address spaces',
  '2.6': 'Other vhost core',
  '2.7': 'virtio',
  '2.8': 'Software parents',
  '2.9': 'IFCVF, kernel parent',
  '2.10': 'mlx5',
  '2.11': 'mdev today',
  '2.12': 'VFIO container, group, type 1',
  '2.13': 'VFIO device',
  '2.14': 'Module loader',
  '3.1': "DPDK's vDPA framework",
  '3.2': 'vhost-user',
  '3.3': "DPDK's ifc driver",
  '3.4': "DPDK's mlx5 and other drivers",
  '3.5': 'QEMU',
  F: 'Acceptance scenarios',
};

/** Every row, in table order. */
export const featureRows: readonly FeatureRow[] = tuples.map(([id, priority, name, livesIn]) => ({
  id,
  part: id.startsWith('F') ? 'F' : id.slice(0, id.lastIndexOf('.')),
  priority,
  name,
  livesIn: livesIn.split(' '),
}));

const known: ReadonlySet<string> = new Set(featureRows.map((row) => row.id));

/** Whether the table has this row. */
export function isRowId(id: string): id is RowId {
  return known.has(id);
}
