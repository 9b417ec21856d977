/** How long mediated devices take to come and go, by number. */
import { createLab } from '@vdpalab/lab';
import { O_WRONLY } from '@vdpalab/uapi';
import { modprobe, moduleFile } from '../support/index.ts';
import { heapUsed } from './heap.ts';

/** Devices one process makes before another takes over. */
const BATCH = 250;

/** One size. */
export interface MdevScale {
  readonly mdevs: number;
  /** Milliseconds of writes to `create`, and to `remove`, all of them. */
  readonly create: number;
  readonly remove: number;
  /** Heap bytes with everything there, less those before. */
  readonly heap: number;
}

/**
 * Make `mdevs` devices of the sample mbochs, each with its IOMMU group and VFIO nodes, and remove them, the oldest first.
 *
 * @throws Error when a device is missing, or something is left
 */
export async function scaleMdevs(mdevs: number): Promise<MdevScale> {
  const lab = await createLab({ config: { memory: '64M' } });
  await lab.user(async (p) => {
    await modprobe(lab, p, 'vfio_mdev'); // all that the sample needs
    await lab.symbol('init_module')({ path: moduleFile(lab, 'mbochs') }, `count=${4 * mdevs}`, 0);
  });
  const uuid = (n: number): string => `83b8f4f2-509f-382f-3c1e-${n.toString().padStart(12, '0')}`;
  const timed = async (store: (n: number) => readonly [path: string, text: string]): Promise<number> => {
    const from = performance.now();
    for (let first = 0; first < mdevs; first += BATCH) {
      await lab.user(async (p) => {
        for (let n = first; n < Math.min(first + BATCH, mdevs); n++) await p.writeFile(...store(n), O_WRONLY);
      });
    }
    return performance.now() - from;
  };
  const count = async (): Promise<number> => (await lab.user((p) => p.readdir('/sys/bus/mdev/devices'))).length;

  const before = heapUsed();
  const create = await timed((n) => ['/sys/class/mdev_bus/mbochs/mdev_supported_types/mbochs-small/create', uuid(n)]);
  const heap = heapUsed() - before;
  const there = await count();
  if (there !== mdevs) throw new Error(`${there} mediated devices of ${mdevs}`);
  const remove = await timed((n) => [`/sys/bus/mdev/devices/${uuid(n)}/remove`, '1']);
  const left = [...(await count()) > 0 ? ['mediated devices'] : [], ...await lab.close()];
  if (left.length > 0) throw new Error(`${mdevs} mediated devices leave behind: ${left.join(', ')}`);
  return { mdevs, create, remove, heap };
}
