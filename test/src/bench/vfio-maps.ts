/**
 * What a mapping of a VFIO container costs, by how many there are, and how fast drivers pin pages: `node test/dist/bench/vfio-maps.js`.
 *
 * Prints a table. The exit status is 1 when map and unmap at 64 Ki mappings take more than three times as long as at 1 Ki:
 * the logarithms are as 16 to 10.
 */
import { fileURLToPath } from 'node:url';
import type { UserProcess } from '@vdpalab/lab';
import type { VfioDeviceOps } from '@vdpalab/vfio';
import { MAP_ANONYMOUS, MAP_PRIVATE, PROT_READ, PROT_WRITE, VFIO_DMA_MAP_FLAG_READ, VFIO_DMA_MAP_FLAG_WRITE, VFIO_TYPE1v2_IOMMU } from '@vdpalab/uapi';
import { VfioContainerFile, VfioGroupFile } from '@vdpalab/user';
import { bindVfio, openVfio, unbindVfio, vfioWorld } from '../support/index.ts';

const PAGE = 4096n;
const RW = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE;
const ROUNDS = 2000;
const GROWTH_MAX = 3;
/** A driver that pins, and would hear of unmaps. */
const PINNER: VfioDeviceOps = { name: 'pinner', dma_unmap: async () => undefined };

/** One size. */
export interface MapCost {
  /** Mappings that are there while one more is made and taken away. */
  readonly mappings: number;
  /** Microseconds of VFIO_IOMMU_MAP_DMA and UNMAP_DMA of one page, at places that a fixed rule spreads. */
  readonly us: number;
}

/** Microseconds of a map and an unmap, the least of five rounds' averages. */
async function pairUs(container: VfioContainerFile, va: bigint, spread: number): Promise<number> {
  let least = Infinity;
  for (let round = 0; round < 5; round++) {
    const from = performance.now();
    for (let i = 0; i < ROUNDS; i++) {
      const iova = BigInt(2 * ((i * 7919) % spread) + 1) * PAGE; // odd pages are free
      await container.mapDma(va, iova, PAGE, RW);
      await container.unmapDma(iova, PAGE);
    }
    least = Math.min(least, ((performance.now() - from) / ROUNDS) * 1000);
  }
  return least;
}

async function memory(p: UserProcess, bytes: number): Promise<bigint> {
  return BigInt(await p.mmap(bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS));
}

/** Costs at each size, one lab for all. @param sizes rising */
export async function mapCosts(sizes: readonly number[]): Promise<MapCost[]> {
  const world = await vfioWorld({ vfs: 1 });
  const costs: MapCost[] = [];
  await world.lab.user(async (p) => {
    await p.writeFile('/sys/module/vfio_iommu_type1/parameters/dma_entry_limit', '1000000\n');
    await bindVfio(p, world.vf(0));
    const { container, close } = await openVfio(p, world.vf(0));
    const va = await memory(p, 4096);
    let there = 0;
    for (const mappings of sizes) {
      for (; there < mappings; there++) await container.mapDma(va, BigInt(2 * there) * PAGE, PAGE, RW);
      costs.push({ mappings, us: await pairUs(container, va, Math.max(1, mappings)) });
    }
    await close();
    await unbindVfio(p, world.vf(0));
  });
  const left = await world.close();
  if (left.length > 0) throw new Error(left.join('\n'));
  return costs;
}

/** Pages a second that a driver pins and unpins, 64 in a call. */
export async function pinRate(): Promise<number> {
  const world = await vfioWorld({ vfs: 1 });
  const { lab } = world;
  let best = 0;
  await lab.user(async (p) => {
    const [alloc, register, unregister] = [lab.symbol('_vfio_alloc_device'), lab.symbol('vfio_register_emulated_iommu_dev'), lab.symbol('vfio_unregister_group_dev')];
    const dev = lab.symbol('device_initialize')({ name: 'pinner' });
    await lab.symbol('device_add')(dev);
    const vdev = await alloc(dev, PINNER, null);
    await register(vdev);
    const container = await VfioContainerFile.open(p);
    const group = await VfioGroupFile.open(p, lab.symbol('iommu_groups')().find(({ devices }) => devices.includes(dev))?.id ?? -1);
    await group.setContainer(container.fd);
    await container.setIommu(VFIO_TYPE1v2_IOMMU);
    const file = await group.device('pinner');
    const pages = 4096;
    await container.mapDma(await memory(p, pages * 4096), 0n, BigInt(pages) * PAGE, RW);
    for (let round = 0; round < 5; round++) {
      const from = performance.now();
      for (let at = 0; at < pages; at += 64) await lab.symbol('vfio_pin_pages')(vdev, at * 4096, 64, 3);
      for (let at = 0; at < pages; at += 64) await lab.symbol('vfio_unpin_pages')(vdev, at * 4096, 64);
      best = Math.max(best, pages / ((performance.now() - from) / 1000));
    }
    for (const one of [file, group, container]) await one.close();
    await unregister(vdev);
    lab.symbol('put_device')(vdev.device);
    await lab.symbol('device_unregister')(dev);
  });
  const left = await world.close();
  if (left.length > 0) throw new Error(left.join('\n'));
  return best;
}

/** Print the table. @returns whether costs grow no faster than allowed */
export async function benchVfio(): Promise<boolean> {
  const costs = await mapCosts([1, 1024, 65536]);
  console.log('Mappings of a container');
  for (const { mappings, us } of costs) console.log(`${String(mappings).padStart(6)} mappings: ${us.toFixed(1)} us for one more, made and taken away`);
  console.log(`pinned and unpinned by a driver: ${Math.round(await pinRate())} pages/s`);
  const [, small, large] = costs;
  return small !== undefined && large !== undefined && large.us / small.us <= GROWTH_MAX;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.exitCode = (await benchVfio()) ? 0 : 1;
