import { KernelError } from '@vdpalab/abi';
import { covers, echo, errnoOf } from '@vdpalab/testing';
import {
  VIRTIO_CONFIG_S_DRIVER_OK, VIRTIO_CONFIG_S_FAILED, VIRTIO_F_ACCESS_PLATFORM, VIRTIO_F_VERSION_1, VIRTIO_ID_BLOCK, VIRTIO_ID_NET,
  VIRTIO_NET_F_MAC,
} from '@vdpalab/uapi';
import type { VdpaDevice } from '@vdpalab/vdpa-core';
import { describe, expect, it } from 'vitest';
import ifcvf from './module.ts';
import { BDF, bootIfcvf } from './testing/bench.ts';
import type { Bench, BenchOptions } from './testing/bench.ts';

const bit = (n: number): bigint => 1n << BigInt(n);
const least = bit(VIRTIO_F_VERSION_1) | bit(VIRTIO_F_ACCESS_PLATFORM);

/** A function with its vDPA device. */
async function added(options: BenchOptions = {}): Promise<{ b: Bench; vdpa: VdpaDevice; set: (status: number) => Promise<void> }> {
  const b = await bootIfcvf(options);
  expect(await b.devAdd()).toBe('ok');
  const vdpa = b.vdpa();
  return { b, vdpa, set: (status) => b.run(() => vdpa.config.set_status(vdpa, status)) };
}

describe('binding', () => {
  it('matches the network function of the N3000 and the transitional network and block functions', () => {
    covers('2.9.1');
    expect(ifcvf.alias).toEqual([
      'pci:v00001AF4d00001041sv00008086sd0000001Abc*sc*i*', 'pci:v00001AF4d00001000sv00008086sd00000001bc*sc*i*',
      'pci:v00001AF4d00001001sv00008086sd00000002bc*sc*i*',
    ]);
  });

  it.each([
    [0x1041, 0x1a, VIRTIO_ID_NET], [0x1000, 1, VIRTIO_ID_NET], [0x1001, 2, VIRTIO_ID_BLOCK],
  ])('takes %s, whose virtio id comes from the subsystem when it is transitional', async (device, subdevice, type) => {
    covers('2.9.1', '2.9.2', '1.1.4');
    const { b, vdpa } = await added({ ids: { device, subdevice } });
    expect([b.ops().get_device_id(vdpa), b.ops().get_vendor_id(vdpa), vdpa.dev.parent?.name]).toEqual([type, 0x8086, BDF]);
    expect(b.k.vdpa_mgmtdevs().map((m) => [m.device.name, m.id_table])).toEqual([[BDF, [type]]]);
  });

  it.each([[0x1041, 0x1b], [0x1042, 0x1a], [0x1000, 2]])('leaves %s:%s alone', async (device, subdevice) => {
    covers('2.9.1');
    expect((await bootIfcvf({ ids: { device, subdevice } })).bound()).toBe(false);
  });

  it('refuses a virtio id it has no model for', async () => {
    covers('2.9.2');
    const b = await bootIfcvf({ ids: { device: 0x1000, subdevice: 3 } });
    await b.user((proc) => echo(b.k, proc, '/sys/bus/pci/drivers/ifcvf/new_id', '1af4 1000'));
    expect([b.bound(), b.dmesg().some((line) => line === `ifcvf ${BDF}: VIRTIO ID 3 not supported`)]).toEqual([false, true]);
  });
});

describe('the register windows', () => {
  /** Change what configuration space says of the vendor capability of that type. */
  const corrupt = (type: number, field: 'type' | 'bar' | 'offset' | 'length', value: number): BenchOptions => {
    let current = 0;
    return {
      wrap(symbol, real) {
        if (symbol === 'pci_read_config_byte') {
          return (...args: never[]) => {
            const read = real(...args) as number;
            const at = (args as unknown as [unknown, number])[1] & 3;
            if (at === 3) current = read;
            if (at === 3 && field === 'type' && read === type) return value;
            return at === 0 && field === 'bar' && current === type ? value : read;
          };
        }
        if (symbol !== 'pci_read_config_dword') return real;
        let nth = 0;
        return (...args: never[]) => {
          nth++;
          const read = real(...args) as number;
          return current === type && field === (nth % 2 === 1 ? 'offset' : 'length') ? value : read;
        };
      },
    };
  };

  it.each([
    ['missing', 1, 'type', 9], ['missing', 2, 'type', 9], ['missing', 3, 'type', 9], ['missing', 4, 'type', 9],
    ['in a BAR that does not exist', 1, 'bar', 6], ['in a BAR that is not mapped', 4, 'bar', 1],
    ['that begins beyond its BAR', 2, 'offset', 0xffff_fffc], ['that ends beyond its BAR', 3, 'length', 0x1_0000],
  ] as const)('one %s (type %s) fails the probe, and nothing is left', async (_, type, field, value) => {
    covers('2.9.3');
    const b = await bootIfcvf(corrupt(type, field, value));
    expect(b.bound()).toBe(false);
    expect(b.dmesg().filter((line) => line.startsWith('ifcvf') && !line.includes('enabling'))).toEqual([
      `ifcvf ${BDF}: Incomplete PCI capabilities`, `ifcvf ${BDF}: Failed to init IFCVF hw`, expect.stringContaining('-5'),
    ]);
    await b.run(() => b.rmmod('ifcvf'));
    expect(b.leftovers().filter((line) => !line.includes('taker'))).toEqual([]);
  });
});

describe('features', () => {
  it('without ACCESS_PLATFORM are refused, none at all are taken', async () => {
    covers('2.9.6');
    const { b, vdpa } = await added();
    const set = (features: bigint): Promise<string> => b.run(() => errnoOf(() => b.ops().set_driver_features(vdpa, features)));
    expect(await set(bit(VIRTIO_F_VERSION_1))).toBe('EINVAL');
    expect(b.dmesg().at(-1)).toBe(`ifcvf ${BDF}: VIRTIO_F_ACCESS_PLATFORM is not negotiated`);
    expect([await set(least), b.ops().get_driver_features(vdpa)]).toEqual(['ok', least]);
    expect([await set(0n), b.ops().get_driver_features(vdpa)]).toEqual(['ok', 0n]);
  });

  it('are the hardware\'s, or those the device was made with; others are refused', async () => {
    covers('2.9.12');
    const b = await bootIfcvf();
    expect(await b.devAdd('a', bit(62))).toBe('EINVAL');
    expect(await b.devAdd('a', least)).toBe('ok');
    expect(b.ops().get_device_features(b.vdpa())).toBe(least);
    expect(await b.devDel('a')).toBe('ok');
    expect(await b.devAdd('a')).toBe('ok');
    expect(b.ops().get_device_features(b.vdpa()) & bit(VIRTIO_NET_F_MAC)).not.toBe(0n);
  });
});

describe('a management device', () => {
  it('makes one vDPA device with one group and one address space, and no second', async () => {
    covers('2.9.12', '2.9.11');
    const { b, vdpa } = await added();
    expect([vdpa.ngroups, vdpa.nas, vdpa.nvqs, vdpa.dma_dev.name, vdpa.dev.parent?.name]).toEqual([1, 1, 2, BDF, BDF]);
    expect([...vdpa.models].toSorted()).toEqual(['vfio', 'vhost', 'virtio']);
    const { config } = vdpa;
    expect([config.set_map, config.dma_map, config.dma_unmap, config.suspend, config.resume, config.get_vendor_vq_stats]).toEqual(Array(6).fill(undefined));
    expect([await b.devAdd('second'), await b.devAdd(vdpa.dev.name)]).toEqual(['EOPNOTSUPP', 'EEXIST']);
    expect(await b.devDel()).toBe('ok');
    expect(await b.devAdd('second')).toBe('ok');
  });

  it('deletes its device when the driver lets the function go', async () => {
    const { b, set } = await added();
    await set(15); // and nobody resets it
    expect(b.actions()).toHaveLength(3);
    await b.run(() => b.rmmod('ifcvf'));
    expect([b.actions(), b.k.vdpa_mgmtdevs(), b.bound()]).toEqual([[], [], false]);
    expect(b.leftovers().filter((line) => !line.includes('taker'))).toEqual([]);
  });
});

describe('vectors', () => {
  const heard = (b: Bench, vdpa: VdpaDevice): string[] => {
    const calls: string[] = [];
    for (let q = 0; q < vdpa.nvqs; q++) b.ops().set_vq_cb(vdpa, q, { callback: (): undefined => void calls.push(`vq ${q}`) });
    b.ops().set_config_cb(vdpa, { callback: (): undefined => void calls.push('config') });
    return calls;
  };

  it('are one for each queue and one for the configuration when there are enough', async () => {
    covers('2.9.7', '1.4.7', '1.1.13');
    const { b, vdpa, set } = await added();
    const calls = heard(b, vdpa);
    expect(await errnoOf(() => b.ops().get_vq_irq?.(vdpa, 0))).toBe('EINVAL');
    await set(15);
    expect(b.actions()).toEqual([`ifcvf[${BDF}]-0`, `ifcvf[${BDF}]-1`, `ifcvf[${BDF}]-config`]);
    expect([b.fn.queues.map((q) => q.vector), b.fn.common.configVector]).toEqual([[0, 1], 2]);
    const irqs = [0, 1].map((q) => b.ops().get_vq_irq?.(vdpa, q));
    expect(new Set(irqs).size).toBe(2);
    for (const vector of [1, 0, 2]) await b.fire(vector);
    expect(calls).toEqual(['vq 1', 'vq 0', 'config']);
    b.ops().set_vq_cb(vdpa, 0, null);
    await b.fire(0);
    expect(calls).toHaveLength(3);
    await b.run(() => b.ops().reset(vdpa));
    expect([b.actions(), await errnoOf(() => b.ops().get_vq_irq?.(vdpa, 0))]).toEqual([[], 'EINVAL']);
  });

  it('are one for all queues and one for the configuration when there are fewer', async () => {
    covers('2.9.7');
    const { b, vdpa, set } = await added({ vectors: 2 });
    const calls = heard(b, vdpa);
    await set(15);
    expect(b.dmesg().at(-1)).toBe(`ifcvf ${BDF}: Requested 3 vectors, however only 2 allocated, lower performance`);
    expect(b.actions()).toEqual([`ifcvf[${BDF}]-vqs-reused-irq`, `ifcvf[${BDF}]-config`]);
    expect([b.fn.queues.map((q) => q.vector), b.fn.common.configVector]).toEqual([[0, 0], 1]);
    expect(await errnoOf(() => b.ops().get_vq_irq?.(vdpa, 0))).toBe('EINVAL');
    await b.fire(0);
    await b.fire(1);
    expect(calls).toEqual(['vq 0', 'vq 1', 'config']);
  });

  it('is a single one for everything when there is no more, and the ISR says whether the configuration changed', async () => {
    covers('2.9.7');
    const { b, vdpa, set } = await added({ vectors: 1 });
    const calls = heard(b, vdpa);
    await set(15);
    expect(b.actions()).toEqual([`ifcvf[${BDF}]-dev-irq`]);
    expect(await errnoOf(() => b.ops().get_vq_irq?.(vdpa, 1))).toBe('EINVAL');
    await b.fire(0);
    expect(calls.splice(0)).toEqual(['vq 0', 'vq 1']);
    b.fn.setLink(true);
    await b.settle();
    expect(calls).toEqual(['config', 'vq 0', 'vq 1']);
  });

  it('that cannot be had leave FAILED in the status, and nothing held', async () => {
    covers('2.9.7', '2.9.8');
    for (let n = 1; n <= 4; n++) {
      let left = n;
      const failing = ['pci_alloc_irq_vectors', 'request_irq'];
      const { b, vdpa, set } = await added({
        wrap: (symbol, real) => !failing.includes(symbol) ? real : async (...args: never[]) => {
          if (--left === 0) throw new KernelError('ENOSPC', 'test.injected', symbol);
          return real(...args);
        },
      });
      await set(11);
      await set(15);
      expect(b.fn.common.status).toBe(11 | VIRTIO_CONFIG_S_FAILED);
      const said = ['Failed to alloc IRQ vectors', 'Failed to request irq for vq 0', 'Failed to request irq for vq 1', 'Failed to request config irq'];
      expect(b.dmesg().at(-1)).toBe(`ifcvf ${BDF}: ${said[n - 1]}`);
      expect([b.actions(), b.fn.queues.map((q) => q.vector), b.k.irq_info()]).toEqual([[], [0xffff, 0xffff], []]);
      expect(b.ops().get_status(vdpa) & VIRTIO_CONFIG_S_DRIVER_OK).toBe(0);
    }
  });

  it('the device does not take leave FAILED as well', async () => {
    const { b, set } = await added();
    b.fn.common.write = (): undefined => undefined; // deaf
    b.fn.common.status = 11;
    await set(15);
    expect(b.dmesg().at(-1)).toBe(`ifcvf ${BDF}: No msix vector for vq 0`);
    expect(b.actions()).toEqual([]);
  });
});

describe('status', () => {
  it('takes interrupts at DRIVER_OK only, once, and gives them and the callbacks back at reset', async () => {
    covers('2.9.8', '1.4.7');
    const { b, vdpa, set } = await added();
    let called = 0;
    b.ops().set_config_cb(vdpa, { callback: (): undefined => void called++ });
    for (const status of [1, 3, 11]) {
      await set(status);
      expect(b.actions()).toEqual([]);
    }
    await set(15);
    await set(15);
    expect(b.actions()).toHaveLength(3);
    await b.run(() => b.ops().reset(vdpa));
    expect([b.fn.common.status, b.actions()]).toEqual([0, []]);
    await set(15);
    await b.fire(2);
    expect(called).toBe(0);
  });

  it('is polled after a reset until the device says 0', async () => {
    covers('2.9.8');
    const { b, vdpa, set } = await added();
    await set(15);
    let slow = 3;
    const read = b.fn.common.read.bind(b.fn.common);
    b.fn.common.read = (offset, size) => (offset === 20 && slow-- > 0 ? 15 : read(offset, size));
    await b.run(() => b.ops().reset(vdpa));
    expect(slow).toBeLessThan(0);
  });
});

describe('queues', () => {
  it('have 64 to the device\'s own number of descriptors, on page boundaries', async () => {
    covers('2.9.9');
    const { b, vdpa } = await added();
    expect([b.ops().get_vq_num_min?.(vdpa), b.ops().get_vq_num_max(vdpa), b.ops().get_vq_align(vdpa)]).toEqual([64, 256, 4096]);
    expect(b.ops().get_vq_group?.(vdpa, 1)).toBe(0);
  });

  it('have a doorbell each, one page after the other, where the index is written', async () => {
    covers('2.9.10');
    const { b, vdpa } = await added();
    const [first, second] = [0, 1].map((q) => b.ops().get_vq_notification!(vdpa, q));
    const bar = b.k.pci_devices().find((pdev) => pdev.dev.name === BDF)!.resource[2]!.start;
    expect([first, second]).toEqual([{ addr: bar, size: 4096 }, { addr: bar + 4096, size: 4096 }]);
    const kicks: number[] = [];
    const write = b.fn.writeBar.bind(b.fn);
    b.fn.writeBar = (at, offset, size, value): undefined => {
      if (at === 2) kicks.push(offset, size, value);
      return write(at, offset, size, value);
    };
    b.ops().kick_vq(vdpa, 1);
    expect(kicks).toEqual([4096, 2, 1]);
  });

  it('are programmed, switched on and off, and keep their state in the migration region', async () => {
    const { b, vdpa } = await added({ queuePairs: 2 });
    const ops = b.ops();
    await b.run(async () => {
      for (let q = 0; q < 4; q++) await ops.set_vq_state(vdpa, q, { kind: 'split', avail_index: 0x100 + q });
      ops.set_vq_num(vdpa, 3, 64);
      ops.set_vq_address(vdpa, 3, 0x1_0000_1000n, 0x2_0000_2000n, 0x3_0000_3000n);
      await ops.set_vq_ready(vdpa, 3, true);
    });
    const queue = b.fn.queues[3]!;
    expect([queue.size, queue.enabled, queue.descLo, queue.descHi, queue.availHi, queue.usedHi]).toEqual([64, true, 0x1000, 1, 2, 3]);
    expect([ops.get_vq_ready(vdpa, 3), ops.get_vq_ready(vdpa, 2)]).toEqual([true, false]);
    const states: unknown[] = [];
    await b.run(async () => {
      for (let q = 0; q < 4; q++) states.push(await ops.get_vq_state(vdpa, q));
      await ops.set_vq_ready(vdpa, 3, false);
    });
    expect(states).toEqual([0, 1, 2, 3].map((q) => ({ kind: 'split', avail_index: 0x100 + q })));
    expect([0x20, 0x24, 0x60, 0x64].map((at) => b.fn.migration.read(at, 2))).toEqual([0x100, 0x101, 0x102, 0x103]);
    expect(queue.enabled).toBe(false);
    expect(await b.run(() => errnoOf(() => ops.set_vq_state(vdpa, 0, {
      kind: 'packed', last_avail_counter: 1, last_avail_idx: 0, last_used_counter: 1, last_used_idx: 0,
    })))).toBe('EOPNOTSUPP');
  });
});

describe('the configuration', () => {
  it('is read and written in bytes, as large as the window or the structure', async () => {
    const { b, vdpa } = await added();
    expect(b.ops().get_config_size(vdpa)).toBe(24);
    expect(Array.from(b.ops().get_config(vdpa, 0, 6))).toEqual([0x52, 0x54, 0, 0, 0, 0x10]);
    expect(Array.from(b.ops().get_config(vdpa, 10, 2))).toEqual([1500 & 0xff, 1500 >> 8]);
  });

  it('is read again when it changed under the reader', async () => {
    covers('2.9.14');
    const { b, vdpa } = await added();
    const read = b.fn.net.read.bind(b.fn.net);
    let nth = 0;
    b.fn.net.read = (offset, size) => {
      const value = read(offset, size);
      if (++nth === 3) b.fn.setLink(true); // between two bytes: the generation rises, and so does bit 0 at 6
      return value;
    };
    expect(b.ops().get_config(vdpa, 0, 8)[6]).toBe(1);
    expect(nth).toBe(16);
    expect(b.ops().get_generation?.(vdpa)).toBe(b.fn.common.generation);
  });
});

describe('a failing probe or add', () => {
  it.each([
    ['pcim_enable_device', 'Failed to enable device'], ['pcim_iomap_regions', 'Failed to request MMIO region'],
    ['dma_set_mask_and_coherent', 'No usable DMA configuration'], ['vdpa_mgmtdev_register', 'Failed to initialize the management interfaces'],
  ])('at %s says so and leaves nothing', async (symbol, text) => {
    covers('1.4.5');
    const b = await bootIfcvf({
      wrap: (name, real) => name !== symbol ? real : () => {
        throw new KernelError('ENOMEM', 'test.injected', symbol);
      },
    });
    expect([b.bound(), b.k.vdpa_mgmtdevs(), b.dmesg()]).toEqual([false, [], expect.arrayContaining([`ifcvf ${BDF}: ${text}`])]);
    await b.run(() => b.rmmod('ifcvf'));
    expect(b.leftovers().filter((line) => !line.includes('taker'))).toEqual([]);
  });

  it('of a device whose name is taken leaves no device, and the next name is taken', async () => {
    covers('1.4.5');
    let fails = true;
    const b = await bootIfcvf({
      wrap: (name, real) => name !== '_vdpa_register_device' ? real : async (...args: never[]) => {
        if (fails) throw new KernelError('EEXIST', 'test.injected', name);
        await real(...args);
      },
    });
    expect(await b.devAdd()).toBe('EEXIST');
    expect(b.dmesg().at(-1)).toBe(`ifcvf ${BDF}: Failed to register to vDPA bus`);
    fails = false;
    expect(await b.devAdd()).toBe('ok');
    expect([b.vdpa().index, await b.devDel()]).toEqual([0, 'ok']);
  });
});
