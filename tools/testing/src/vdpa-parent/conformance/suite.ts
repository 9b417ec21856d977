/**
 * What every vDPA parent passes: each operation through both bus drivers, its life, and a front-end that has only the
 * operations none may leave out.
 */
import { covers } from '@vdpalab/features';
import { VIRTIO_ID_NET } from '@vdpalab/uapi';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { bootBuiltins } from '../../kernel/boot.ts';
import type { BootedKernel } from '../../kernel/boot.ts';
import { DirectRings } from '../direct-rings.ts';
import { toyBusDriver } from '../toy-bus-driver.ts';
import { VdpaTool } from '../vdpa-tool.ts';
import { echo, VhostFile } from '../vhost-user-space.ts';
import { applicable } from './check.ts';
import type { SuiteDevice, SuiteKernel, SuiteProcess } from './kernel.ts';
import { OpLog } from './op-log.ts';
import { MANDATORY_OPS, OPTIONAL_OPS } from './subject.ts';
import type { OptionalOp, VdpaParentSubject } from './subject.ts';
import { work } from './traffic.ts';
import { DRIVER_FEATURES, RUNNING, SETTLED, VhostContext } from './vhost-context.ts';
import { vhostChecks } from './vhost-checks.ts';
import { VirtioContext } from './virtio-context.ts';
import { virtioChecks } from './virtio-checks.ts';

const NAME = 'vdpa0';
const BUILTINS = ['sched', 'mm', 'fs', 'driver-core', 'irq', 'iommu'] as const;
const SUBSYSTEMS = ['netlink', 'netdev', 'block', 'vhost-iotlb', 'vringh', 'vdpa-core', 'virtio-ring', 'virtio'] as const;
/** Bus drivers, each with what stands on it. */
const DRIVERS = { vhost_vdpa: ['irqbypass', 'vhost', 'vhost-vdpa'], virtio_vdpa: ['virtio-vdpa', 'virtio-net', 'virtio-blk'], none: [] } as const;

/** Mapping operations are the parent's way to memory: those stay when the others are taken away. */
const NEEDED: ReadonlySet<string> = new Set<OptionalOp>(['set_map', 'dma_map', 'dma_unmap', 'get_iova_range', 'get_vq_dma_dev', 'free']);

/** A kernel with the parent and one bus driver, whose device is written down. */
interface Bench {
  readonly kernel: BootedKernel;
  readonly k: SuiteKernel;
  readonly log: OpLog;
}

async function boot(subject: VdpaParentSubject, driver: keyof typeof DRIVERS, without: readonly string[] = []): Promise<Bench> {
  const log = new OpLog();
  const table = (ops: object): object => log.proxy(Object.fromEntries(Object.entries(ops).filter(([op]) => !without.includes(op))));
  const modules = [...BUILTINS, ...subject.builtins ?? [], ...SUBSYSTEMS, ...subject.modules, ...DRIVERS[driver]];
  const kernel = await bootBuiltins(modules, {
    ...(subject.machine === undefined ? {} : { machine: subject.machine(1) }),
    wrap: (symbol, value) => (symbol !== '__vdpa_alloc_device' ? value
      : (init: { readonly config: object }) => (value as (i: object) => unknown)({ ...init, config: table(init.config) })),
  });
  await subject.prepare?.(kernel);
  return { kernel, k: kernel.k as unknown as SuiteKernel, log }; // the symbols of the modules above
}

/** The device on the bus. */
function device(k: SuiteKernel): SuiteDevice {
  const [dev] = k.bus_devices(k.find_bus('vdpa') as object); // registered by vdpa
  if (dev === undefined) throw new Error('there is no vDPA device');
  return k.dev_to_vdpa(dev);
}

/** As a process with a netlink socket: add a device, use it, delete it. */
async function withDevice(bench: Bench, { handle }: VdpaParentSubject, use: (vdev: SuiteDevice, proc: SuiteProcess, tool: VdpaTool<SuiteProcess>) => Promise<void>): Promise<void> {
  await bench.kernel.user(async (given) => {
    const proc = given as unknown as SuiteProcess; // as the `fs` header declares it
    const tool = await VdpaTool.open(bench.k, proc);
    if (typeof handle === 'string') expect(await tool.add(NAME, handle)).toBe('ok');
    else await echo(bench.k, proc, handle.create.file, handle.create.text);
    try {
      await use(device(bench.k), proc, tool);
    } finally {
      if (typeof handle === 'string') expect(await tool.del(NAME)).toBe('ok');
      else await echo(bench.k, proc, handle.remove.file, handle.remove.text);
      await tool.close();
    }
  });
}

/** Whatever is left over when all is done but what was before a device was added. */
async function nothingLeft(bench: Bench, subject: VdpaParentSubject, before: readonly string[]): Promise<void> {
  expect(bench.kernel.leftovers().filter((line) => !before.includes(line))).toEqual([]);
  await subject.finish?.(bench.kernel);
}

/** Register the suite's tests for a parent. Call it in a test file. */
export function describeVdpaParent(subject: VdpaParentSubject): void {
  const { offers } = subject;
  const managed = typeof subject.handle === 'string';
  let bench: Bench;
  let before: string[];
  const start = (driver: keyof typeof DRIVERS, without: readonly string[] = []) => async (): Promise<void> => {
    bench = await boot(subject, driver, without);
    before = bench.kernel.leftovers();
  };

  describe(`${subject.name} under vhost_vdpa`, () => {
    beforeEach(start('vhost_vdpa'));
    afterEach(() => nothingLeft(bench, subject, before));

    for (const check of vhostChecks) {
      const run = applicable(check, offers);
      if (run === null) continue;
      test(`${check.row} ${check.title}`, async () => {
        covers(check.row, '1.1.12', ...check.also ?? []);
        await withDevice(bench, subject, async (vdev, proc, tool) => {
          const file = await VhostFile.open(bench.k, proc, '/dev/vhost-vdpa-0');
          const context = new VhostContext({ k: bench.k, offers, managed, vdev, calls: bench.log, proc, file, tool });
          try {
            await run(context);
          } finally {
            if (!context.closed) await file.close();
          }
        });
      });
    }
  });

  describe(`${subject.name} under virtio_vdpa`, () => {
    beforeEach(start('virtio_vdpa'));
    afterEach(() => nothingLeft(bench, subject, before));

    for (const check of virtioChecks) {
      const run = applicable(check, offers);
      if (run === null) continue;
      test(`${check.row} ${check.title}`, async () => {
        covers(check.row, '1.1.12', ...check.also ?? []);
        await withDevice(bench, subject, (vdev, proc, tool) => run(new VirtioContext({ k: bench.k, offers, managed, vdev, calls: bench.log, proc, tool })));
      });
    }
  });

  describe(`${subject.name} with the operations none may leave out`, () => {
    const without = OPTIONAL_OPS.filter((op) => !NEEDED.has(op));
    beforeEach(start('virtio_vdpa', without));
    afterEach(() => nothingLeft(bench, subject, before));

    test('does the same work for virtio_vdpa', async () => {
      covers('1.1.20');
      await withDevice(bench, subject, async (vdev, proc, tool) => {
        expect(Object.keys(vdev.config).filter((op) => without.includes(op as OptionalOp))).toEqual([]);
        await new VirtioContext({ k: bench.k, offers, managed, vdev, calls: bench.log, proc, tool }).work();
      });
    });
  });

  describe.runIf((subject.memory ?? 'any') === 'any')(`${subject.name} under a bus driver of the suite's own`, () => {
    const toy = toyBusDriver<SuiteDevice>();
    beforeEach(async () => {
      await start('none')();
      await bench.kernel.run(() => bench.kernel.insmod(toy.module));
    });
    afterEach(async () => {
      await bench.kernel.run(() => bench.kernel.rmmod(toy.module.name));
      await nothingLeft(bench, subject, before);
    });

    test('calls once for each piece of work, and nobody once the callback is null', async () => {
      covers('1.1.13', '1.1.21', '2.2.5');
      await withDevice(bench, subject, async () => {
        const vdev = toy.devices.get(NAME);
        if (vdev === undefined) throw new Error('the driver of the suite did not get the device');
        const { k } = bench;
        const rings = new DirectRings(k, vdev);
        await k.vdpa_reset(vdev);
        await k.vdpa_set_status(vdev, SETTLED & ~8);
        await k.vdpa_set_features(vdev, offers.features & DRIVER_FEATURES);
        await k.vdpa_set_status(vdev, SETTLED);
        await rings.map();
        for (const q of offers.device_id === VIRTIO_ID_NET ? [0, 1] : [0]) await rings.queue(q, Math.max(16, offers.num_min));
        await k.vdpa_set_status(vdev, RUNNING);
        const worker = { offers, idle: () => k.msleep(1) };
        const { index, completions } = await work(worker, rings);
        const [queue] = rings.queues.filter((one) => one.index === index);
        expect(queue?.calls).toBe(completions);
        vdev.config.set_vq_cb(vdev, index, null);
        await work(worker, rings, 2);
        expect(queue?.calls).toBe(completions);
        await k.vdpa_reset(vdev);
        rings.free();
      });
    });
  });

  describe(`${subject.name} as a parent`, () => {
    beforeEach(start('vhost_vdpa'));
    afterEach(() => nothingLeft(bench, subject, before));

    test('has the operations and the numbers it declares', async () => {
      if (subject.machine === undefined) covers('1.1.3'); // made of software, and in this suite
      await withDevice(bench, subject, async (vdev) => {
        const { config: ops } = vdev;
        expect(Object.keys(ops).sort()).toEqual([...MANDATORY_OPS, ...offers.optional].sort());
        expect({
          device_id: ops.get_device_id(vdev), vendor_id: ops.get_vendor_id(vdev), nvqs: vdev.nvqs, ngroups: vdev.ngroups, nas: vdev.nas,
          features: ops.get_device_features(vdev), num_max: ops.get_vq_num_max(vdev), config_size: ops.get_config_size(vdev),
        }).toEqual({
          device_id: offers.device_id, vendor_id: offers.vendor_id, nvqs: offers.nvqs, ngroups: offers.ngroups, nas: offers.nas,
          features: offers.features, num_max: offers.num_max, config_size: offers.config_size,
        });
      });
    });

    test('frees a device once, when it is deleted', async () => {
      covers('2.2.36');
      await withDevice(bench, subject, async () => {
        expect(bench.log.of('free')).toEqual([]);
      });
      expect(bench.log.of('free').length).toBe(offers.optional.includes('free') ? 1 : 0);
      await withDevice(bench, subject, async () => {}); // the name is free again
    });
  });
}
