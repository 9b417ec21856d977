/** SR-IOV, ifcvf, the vDPA bus, virtio_vdpa and a virtio driver, down to the wire and back. */
import { KernelError } from '@vdpalab/abi';
import type {} from '@vdpalab/iommu';
import type {} from '@vdpalab/irq';
import { covers } from '@vdpalab/testing';
import { EOPNOTSUPP, EINVAL, VIRTIO_F_ACCESS_PLATFORM, VIRTIO_F_VERSION_1, VIRTIO_NET_F_MAC } from '@vdpalab/uapi';
import type { VirtioDevice } from '@vdpalab/virtio-ring';
import { describe, expect, it } from 'vitest';
import { bootChain, PF, VF } from './kernel.ts';
import type { ChainKernel, ChainOptions } from './kernel.ts';
import { frame, toyNet } from './toy-net.ts';
import type { ToyNet } from './toy-net.ts';

const outsideMac = Uint8Array.of(2, 0, 0, 0, 0, 9);
const ENABLED = `ifcvf ${VF}: enabling device (0000 -> 0002)`;

/** The virtio device of that name. */
function virtioDevice(kernel: ChainKernel, name = 'virtio0'): VirtioDevice {
  const dev = kernel.k.bus_find_device_by_name(kernel.k.find_bus('virtio')!, name);
  if (dev === null) throw new Error(`${name} is not on the virtio bus`);
  return kernel.k.dev_to_virtio(dev);
}

/** A kernel with one VF as vdpa0, driven by a toy. */
async function running(options: ChainOptions = {}): Promise<{ kernel: ChainKernel; driver: ToyNet }> {
  const kernel = await bootChain(options);
  const driver = toyNet(kernel);
  await kernel.run(() => kernel.k.register_virtio_driver(driver));
  await kernel.sriov(1);
  expect(await kernel.devAdd('vdpa0')).toBe(0);
  return { kernel, driver };
}

/** Undo what {@link running} did. */
async function end(kernel: ChainKernel, driver: ToyNet): Promise<void> {
  expect(await kernel.echo('0\n', `/sys/bus/pci/devices/${PF}/sriov_numvfs`)).toBe('ok');
  expect(await kernel.echo(`${PF}\n`, '/sys/bus/pci/drivers/pci-pf-stub/unbind')).toBe('ok');
  await kernel.run(() => kernel.k.unregister_virtio_driver(driver));
}

/** A frame out and a frame in. */
async function traffic(kernel: ChainKernel, driver: ToyNet, fill: number): Promise<void> {
  const mac = kernel.vf().net.bytes.subarray(0, 6);
  const [out, into] = [frame('broadcast', mac, fill), frame(mac, outsideMac, fill + 1)];
  await kernel.run(async () => driver.send(virtioDevice(kernel), out));
  expect(kernel.outside.take()).toEqual([out]);
  kernel.outside.inject(into);
  await kernel.settle();
  expect(driver.received.splice(0)).toEqual([into]);
}

describe('a virtual function under virtio_vdpa', () => {
  it('becomes vdpa0 and virtio0, and its driver sends and receives a frame', async () => {
    covers('1.2.1');
    const kernel = await bootChain();
    const before = kernel.hw.leftovers().length;
    const driver = toyNet(kernel);
    await kernel.run(() => kernel.k.register_virtio_driver(driver));
    await kernel.sriov(1);
    kernel.uevents();
    expect(await kernel.devAdd('vdpa0')).toBe(0);
    expect(kernel.uevents().map((event) => event.replace(/\/.*\//, ''))).toEqual(['add@vdpa0', 'add@virtio0', 'bind@virtio0', 'bind@vdpa0']);

    const pci = `/sys/devices/pci0000:00/0000:00:01.0/${VF}`;
    expect(await kernel.readlink('/sys/bus/vdpa/devices/vdpa0/driver')).toMatch(/bus\/vdpa\/drivers\/virtio_vdpa$/);
    expect(await kernel.ls(pci)).toEqual(expect.arrayContaining(['vdpa0', 'virtio0']));
    expect(await kernel.cat('/sys/bus/virtio/devices/virtio0/status')).toBe('0x0000000f\n');
    expect(await kernel.cat('/sys/bus/virtio/devices/virtio0/modalias')).toBe('virtio:d00000001v00008086\n');
    expect(kernel.vf().common.status).toBe(15);
    await traffic(kernel, driver, 0x11);
    expect(kernel.k.iommu_faults()).toEqual([]);

    kernel.uevents();
    await end(kernel, driver);
    const gone = kernel.uevents().filter((event) => event.startsWith('remove@')).map((event) => event.replace(/\/.*\//, ''));
    expect(gone.slice(0, 3)).toEqual(['remove@virtio0', 'remove@vdpa0', `remove@${VF}`]);
    expect(kernel.leftovers()).toEqual([]);
    expect(kernel.hw.leftovers().length).toBe(before);
    expect(kernel.dmesg().filter((line) => /ifcvf|virtio|vdpa/.test(line))).toEqual([ENABLED]);
  });

  it('is one of several; they go in order, each vDPA device before its function', async () => {
    covers('1.1.5');
    const kernel = await bootChain();
    const driver = toyNet(kernel);
    await kernel.run(() => kernel.k.register_virtio_driver(driver));
    await kernel.sriov(2);
    const second = VF.replace('.1', '.2');
    expect([await kernel.devAdd('a', VF), await kernel.devAdd('b', second)]).toEqual([0, 0]);
    expect(await kernel.ls('/sys/bus/virtio/devices')).toEqual(['virtio0', 'virtio1']);
    kernel.uevents();
    await end(kernel, driver);
    const gone = kernel.uevents().filter((event) => event.startsWith('remove@')).map((event) => event.replace(/.*\//, ''));
    expect(gone.slice(0, 6)).toEqual(['virtio0', 'a', VF, 'virtio1', 'b', second]);
    expect(kernel.leftovers()).toEqual([]);
  });

  it('has its rings and buffers at bus addresses of the PCI function, listed as its mappings until it goes', async () => {
    covers('1.3.2');
    covers('2.7.8');
    const { kernel } = await running();
    const parent = virtioDevice(kernel).dev.parent!;
    expect(parent.name).toBe(VF);
    const mappings = kernel.k.dma_mappings(parent);
    expect(mappings.filter((m) => m.coherent)).toHaveLength(4); // two rings, two sets of indirect tables
    expect(mappings.filter((m) => !m.coherent).map((m) => m.size)).toEqual([4096]);
    const [queue] = kernel.vf().queues;
    const rings = mappings.filter((m) => m.coherent).map((m) => m.dma);
    expect(rings).toContain(queue!.descLo + queue!.descHi * 2 ** 32);
    expect(await kernel.devDel('vdpa0')).toBe(0);
    expect(kernel.k.dma_mappings(parent)).toEqual([]);
  });

  it('acknowledges to a device whose driver went, and starts afresh with the next', async () => {
    covers('2.9.8');
    const { kernel, driver } = await running();
    await traffic(kernel, driver, 1);
    expect(kernel.k.irq_info().flatMap((i) => i.actions).filter((a) => a.startsWith('ifcvf'))).toEqual([
      `ifcvf[${VF}]-0`, `ifcvf[${VF}]-1`, `ifcvf[${VF}]-config`,
    ]);
    await kernel.run(() => kernel.k.unregister_virtio_driver(driver));
    expect(await kernel.cat('/sys/bus/virtio/devices/virtio0/status')).toBe('0x00000001\n');
    expect(await kernel.cat('/sys/bus/virtio/devices/virtio0/features')).toMatch(/1/);
    expect(kernel.k.irq_info().flatMap((i) => i.actions)).toEqual([]);
    await kernel.run(() => kernel.k.register_virtio_driver(driver));
    await traffic(kernel, driver, 3);
    expect(kernel.k.iommu_faults()).toEqual([]);
  });

  it('goes from the bus driver and comes back by unbind and bind, as the lowest free virtio device', async () => {
    covers('1.5.5');
    const { kernel, driver } = await running();
    expect(await kernel.devAdd('vdpa1')).toBe(-EOPNOTSUPP);
    expect(await kernel.echo('vdpa0\n', '/sys/bus/vdpa/drivers/virtio_vdpa/unbind')).toBe('ok');
    expect(await kernel.ls('/sys/bus/virtio/devices')).toEqual([]);
    expect(await kernel.echo('vdpa0\n', '/sys/bus/vdpa/drivers/virtio_vdpa/bind')).toBe('ok');
    expect(await kernel.ls('/sys/bus/virtio/devices')).toEqual(['virtio0']);
    expect(await kernel.readlink('/sys/bus/vdpa/devices/vdpa0/driver')).toMatch(/drivers\/virtio_vdpa$/);
    await traffic(kernel, driver, 5);
  });

  it('shows fewer features when it was made with fewer, and is not made with others', async () => {
    covers('2.9.12');
    const kernel = await bootChain();
    const bit = (n: number): bigint => 1n << BigInt(n);
    const some = bit(VIRTIO_F_VERSION_1) | bit(VIRTIO_F_ACCESS_PLATFORM) | bit(VIRTIO_NET_F_MAC);
    await kernel.run(() => kernel.k.register_virtio_driver(toyNet(kernel)));
    await kernel.sriov(1);
    expect(await kernel.devAdd('vdpa0', VF, bit(63))).toBe(-EINVAL);
    expect(kernel.dmesg().at(-1)).toMatch(/^ifcvf 0000:07:00.1: The provisioned features 0x8000000000000000 are not supported by this device with features 0x/);
    expect(await kernel.ls('/sys/bus/vdpa/devices')).toEqual([]);
    expect(await kernel.devAdd('vdpa0', VF, some)).toBe(0);
    expect(virtioDevice(kernel).features).toBe(some);
  });

  it('fails to start without ACCESS_PLATFORM, which ifcvf insists on', async () => {
    covers('2.9.6');
    const kernel = await bootChain();
    await kernel.run(() => kernel.k.register_virtio_driver(toyNet(kernel)));
    await kernel.sriov(1);
    expect(await kernel.devAdd('vdpa0', VF, 1n << BigInt(VIRTIO_F_VERSION_1))).toBe(0);
    expect(kernel.dmesg()).toContain(`ifcvf ${VF}: VIRTIO_F_ACCESS_PLATFORM is not negotiated`);
    expect(await kernel.cat('/sys/bus/virtio/devices/virtio0/status')).toBe('0x00000083\n');
  });

  it('leaves nothing when the parent module goes under it', async () => {
    const { kernel, driver } = await running();
    await traffic(kernel, driver, 7);
    await kernel.run(() => kernel.rmmod('ifcvf'));
    expect(await kernel.ls('/sys/bus/vdpa/devices')).toEqual([]);
    await end(kernel, driver);
    await kernel.run(async () => {
      await kernel.rmmod('virtio_vdpa');
      await kernel.rmmod('virtio');
      await kernel.rmmod('virtio_ring');
      await kernel.rmmod('vdpa');
    });
    expect(kernel.leftovers()).toEqual([]);
  });

  it('works for any order of events, and without an IOMMU', async () => {
    for (const seed of [2, 3, 4, 5]) {
      const { kernel, driver } = await running({ seed, iommu: seed !== 5, queuePairs: seed === 4 ? 2 : 1 });
      await traffic(kernel, driver, 9);
      await end(kernel, driver);
      expect(kernel.leftovers()).toEqual([]);
    }
  });
});

/** What may fail on the way from `sriov_numvfs` to DRIVER_OK. */
const fallible: Readonly<Record<string, readonly string[]>> = {
  ifcvf: [
    'pcim_enable_device', 'pcim_iomap_regions', 'dma_set_mask_and_coherent', 'vdpa_mgmtdev_register', '__vdpa_alloc_device',
    '_vdpa_register_device', 'pci_alloc_irq_vectors', 'request_irq',
  ],
  vdpa: ['device_add'],
  virtio_vdpa: ['register_virtio_device', 'vring_create_virtqueue'],
  virtio: ['device_add'],
  virtio_ring: ['dma_alloc_coherent', 'dma_map_single'],
};

describe('a failure on the way to DRIVER_OK', () => {
  it('leaves nothing, at whichever step', async () => {
    covers('1.4.5');
    const seen: string[] = [];
    for (let n = 1; ; n++) {
      let left = 0;
      let fired: string | null = null;
      const kernel = await bootChain({
        wrap(symbol, value, importer) {
          if (typeof value !== 'function' || fallible[importer]?.includes(symbol) !== true) return value;
          return (...args: unknown[]): unknown => {
            if (left === 0 || --left > 0) return (value as (...args: unknown[]) => unknown)(...args);
            fired = `${importer} ${symbol}`;
            throw new KernelError('ENOMEM', 'test.injected', `${fired}: injected`);
          };
        },
      });
      const before = kernel.hw.leftovers().length;
      const driver = toyNet(kernel);
      await kernel.run(() => kernel.k.register_virtio_driver(driver));
      left = n;
      await kernel.sriov(1);
      await kernel.devAdd('vdpa0');
      left = 0;
      if (fired === null) break;
      seen.push(fired);
      await end(kernel, driver);
      expect([fired, kernel.leftovers(), kernel.hw.leftovers().length]).toEqual([fired, [], before]);
    }
    for (const [importer, symbols] of Object.entries(fallible)) {
      for (const symbol of symbols) expect(seen).toContain(`${importer} ${symbol}`);
    }
  });
});
