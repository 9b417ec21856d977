/**
 * What a change of a running device's memory costs: `node test/dist/bench/map-changes.js`.
 *
 * Each change stops the queues of a subfunction, makes a memory key of the whole table and lets the queues go on with it;
 * a virtual function, whose pages the platform's IOMMU has, takes the mapping in beside the others. Prints a table of both,
 * by how many mappings there are. The exit status is 1 when a change on a subfunction costs more than {@link RATIO_MAX}
 * times one on a virtual function.
 */
import { fileURLToPath } from 'node:url';
import type { LabConfigInput } from '@vdpalab/lab';
import { VHOST_ACCESS_RW } from '@vdpalab/uapi';
import { VirtioUserNet, type UserNetOptions } from '@vdpalab/user';
import { simLab } from '../support/sim-lab.ts';

const PAGE = 4096;
const ROUNDS = 4;
/** Changes of a round: code that ran a few hundred times is compiled, and a change then takes a quarter of what the first ones take. */
const CHANGES = 300;
/** What was seen is 40 to 60. */
const RATIO_MAX = 150;
const PF = 'pci/0000:08:00.0';
type Pci = NonNullable<LabConfigInput['pci']>;

/** How each parent comes to a device `vdpa0`. */
const PARENTS: Readonly<Record<string, { readonly modules: readonly string[]; readonly functions: Pci['functions']; readonly commands: readonly string[]; readonly after: string }>> = {
  subfunction: {
    modules: ['vhost_vdpa', 'mlx5_vdpa'],
    functions: [{ at: '08:00.0', model: 'connectx', subfunctions: 1, queue_pairs: 1, vectors: 16 }],
    commands: [
      `devlink dev eswitch set ${PF} mode switchdev`, `devlink port add ${PF} flavour pcisf pfnum 0 sfnum 0 > /dev/null`,
      `devlink port function set ${PF}/32768 state active`, 'vdpa dev add name vdpa0 mgmtdev auxiliary/mlx5_core.sf.1',
    ],
    after: 'true',
  },
  'virtual function': {
    modules: ['vhost_vdpa', 'ifcvf', 'pci_pf_stub'],
    functions: [{ at: '08:00.0', model: 'n3000', sriov: { total: 1 } }],
    commands: [
      'echo pci-pf-stub > /sys/bus/pci/devices/0000:08:00.0/driver_override', 'echo 0000:08:00.0 > /sys/bus/pci/drivers_probe',
      'echo 1 > /sys/bus/pci/devices/0000:08:00.0/sriov_numvfs', 'vdpa dev add name vdpa0 mgmtdev $(basename $(ls -d /sys/bus/pci/drivers/ifcvf/0000:*) | sed s,^,pci/,)',
    ],
    after: 'echo 0 > /sys/bus/pci/devices/0000:08:00.0/sriov_numvfs',
  },
};

/** One parent with one way of mapping. */
export interface MapChangeCost {
  readonly parent: string;
  /** Mappings that are there besides the one that comes and goes. */
  readonly mappings: number;
  /** Microseconds of one change, an IOTLB message that adds or takes away a page: the least of the rounds' averages. */
  readonly us: number;
  /** The same of the first round, whose code is new. */
  readonly first: number;
}

/** @param parent a key of {@link PARENTS} @throws Error when it cannot be set up, or leaves something */
export async function mapChangeCost(parent: string, options: UserNetOptions = {}): Promise<MapChangeCost> {
  const { modules, functions, commands, after } = PARENTS[parent]!; // the callers name them
  const { lab, sh, close } = await simLab(modules, 1, { memory: '64M', iommu: true, pci: { root_ports: [{ at: '00:01.0', bus: 8 }], functions } });
  for (const command of commands) {
    const out = await sh(command);
    if (out.at(-1) !== 'exit: 0') throw new Error(`${command}: ${out.join(', ')}`);
  }
  const process = await lab.process('mapper');
  const cost = await lab.as(process, async (p) => {
    const net = await VirtioUserNet.start(p, '/dev/vhost-vdpa-0', options);
    const { va, iova, size } = net.memory;
    const at = iova + BigInt(2 * size);
    const rounds: number[] = [];
    while (rounds.length < ROUNDS) {
      const from = performance.now();
      for (let i = 0; i < CHANGES; i += 2) {
        await net.file.map(at, BigInt(PAGE), BigInt(va), VHOST_ACCESS_RW);
        await net.file.unmap(at, BigInt(PAGE));
      }
      rounds.push(((performance.now() - from) / CHANGES) * 1000);
    }
    await net.stop();
    return { parent, mappings: options.mapBy === undefined ? 1 : Math.ceil(size / options.mapBy), us: Math.min(...rounds), first: rounds[0]! };
  });
  await lab.exitProcess(process);
  await sh(after);
  const left = await close();
  if (left.length > 0) throw new Error(`left behind: ${left.join('; ')}`);
  return cost;
}

async function main(): Promise<void> {
  let worst = 0;
  console.log('mappings  subfunction, us  at first  virtual function, us  ratio');
  for (const options of [{}, { mapBy: PAGE }]) {
    const anchor = await mapChangeCost('virtual function', options);
    const sf = await mapChangeCost('subfunction', options);
    const ratio = sf.us / anchor.us;
    worst = Math.max(worst, ratio);
    console.log(`${`${sf.mappings}`.padStart(8)}  ${sf.us.toFixed(0).padStart(15)}  ${sf.first.toFixed(0).padStart(8)}  ${anchor.us.toFixed(0).padStart(20)}  ${ratio.toFixed(1).padStart(5)}`);
  }
  console.log(`at most ${RATIO_MAX}`);
  if (!(worst <= RATIO_MAX)) process.exitCode = 1;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
