/** virtio_vdpa on a vDPA device of vp_vdpa is a transport like virtio_pci on the function itself. */
import { createMachine, createPciHost, InjectionPort } from '@vdpalab/machine';
import type { VirtioNetFunction } from '@vdpalab/machine';
import type {} from '@vdpalab/fs';
import { bootBuiltins, echo, errnoOf, transportChecks, VdpaTool } from '@vdpalab/testing';
import type { BootedKernel } from '@vdpalab/testing';
import { O_RDWR, VIRTIO_ID_NET } from '@vdpalab/uapi';
import { describe, expect, it } from 'vitest';

const BDF = '0000:07:00.0';

interface Booted extends BootedKernel {
  readonly fn: VirtioNetFunction;
  readonly outside: InjectionPort;
}

/** Boot with a bus driver, and add `vdpa0`. */
async function boot(busDriver: readonly string[], iommu: boolean): Promise<Booted> {
  const hw = createMachine({ seed: 1, ramBytes: 16 << 20, iommu, cmdline: '', release: '6.1.0', consoleSink: (): undefined => undefined });
  const system = createPciHost(hw, {
    root_ports: [{ at: '00:01.0', bus: 7, buses: 1, acs: true }],
    functions: [{ at: '07:00.0', model: 'virtio-net', queue_pairs: 1, queue_size: 256, mtu: 1500, mac: '52:54:00:00:00:10', link: 'lan' }],
  }, [{ name: 'lan', kind: 'switch' }]);
  const outside = new InjectionPort(system.networks.get('lan')!.attach('outside')!);
  const kernel = await bootBuiltins([
    'sched', 'mm', 'fs', 'driver-core', 'irq', 'iommu', 'pci', 'netlink', 'vhost-iotlb', 'vdpa-core', 'virtio-pci-modern-dev', 'vp-vdpa',
    'virtio-ring', 'virtio', ...busDriver,
  ], { machine: hw.machine });
  const { k } = kernel;
  await kernel.user(async (proc) => {
    await echo(k, proc, `/sys/bus/pci/devices/${BDF}/driver_override`, 'vp-vdpa');
    await echo(k, proc, '/sys/bus/pci/drivers_probe', BDF);
    const tool = await VdpaTool.open(k as never, proc as never); // its calls are those of `fs`
    expect(await tool.add('vdpa0', `pci/${BDF}`)).toBe('ok');
    await tool.close();
  });
  return { ...kernel, fn: system.functions.get('07:00.0') as VirtioNetFunction, outside };
}

describe.each([true, false])('virtio_vdpa over vp_vdpa, with an IOMMU: %s', (iommu) => {
  it.each(transportChecks)('$name', async (check) => {
    const { fn, outside, ...kernel } = await boot(['virtio-vdpa'], iommu);
    const before = kernel.leftovers();
    await check.run({
      k: kernel.k as never, run: kernel.run, settle: kernel.settle, // its calls are those of headers above
      id: VIRTIO_ID_NET, queues: 3, mac: fn.net.bytes.slice(0, 6), modern: true,
      inject: (frame) => void outside.inject(frame),
      sent: () => outside.take(),
      setLink: (up) => void fn.setLink(up),
    });
    expect(kernel.leftovers()).toEqual(before);
  });
});

describe('vhost_vdpa over vp_vdpa', () => {
  it.each([[true, 'ok'], [false, 'ENOTSUPP']])('with an IOMMU (%s) answers an open with %s', async (iommu, answer) => {
    const { k, user } = await boot(['irqbypass', 'vhost', 'vhost-vdpa'], iommu);
    await user(async (proc) => {
      expect(await errnoOf(async () => k.ksys_close(proc, await k.ksys_open(proc, '/dev/vhost-vdpa-0', O_RDWR)))).toBe(answer);
    });
  });
});
