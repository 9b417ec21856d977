/** A virtqueue on real memory behind a real IOMMU, and a device at the other end, for the tests of this package. */
import type { KernelSymbols, LogLine } from '@vdpalab/abi';
import type { Device } from '@vdpalab/driver-core';
import type {} from '@vdpalab/iommu';
import { createMachine } from '@vdpalab/machine';
import type { HwMachine } from '@vdpalab/machine';
import type {} from '@vdpalab/mm';
import { bootBuiltins } from '@vdpalab/testing';
import type { BootedKernel, BootOptions } from '@vdpalab/testing';
import {
  VIRTIO_F_ACCESS_PLATFORM, VIRTIO_F_RING_PACKED, VIRTIO_F_VERSION_1, vring_avail_size, vring_desc_table_size, vring_packed_desc_event, vring_used_size,
} from '@vdpalab/uapi';
import { ChainBatch, PackedDevice, SplitDevice } from '@vdpalab/vring';
import type { RingDevice } from '@vdpalab/vring';
import type { Sg, VirtioConfigOps, VirtioDevice, Virtqueue, VringInit } from '../header.ts';

/** Requester id of the device. */
const RID = 0x0708;

/** Feature bits as a word. */
export const bits = (...set: number[]): bigint => set.reduce((word, bit) => word | (1n << BigInt(bit)), 0n);

/** What most queues are made with. */
export const usual = bits(VIRTIO_F_VERSION_1, VIRTIO_F_ACCESS_PLATFORM);

/** The kernel, its one device, and what happened. */
export interface Bench extends BootedKernel {
  readonly hw: HwMachine;
  readonly dev: Device;
  readonly vdev: VirtioDevice;
  /** Doorbells rung. */
  kicks: number;
  /** What the doorbell answers. */
  notifies: boolean;
  /** Callbacks run. */
  calls: number;
  readonly create: (init?: Partial<VringInit>) => Virtqueue;
  /** The device's side of a queue. */
  readonly device: (vq: Virtqueue, eventIdx?: boolean) => RingDevice;
  /** Bytes at an address that the device may write. */
  readonly view: (dma: number, size: number) => DataView;
  /** Used entry written past the ring's own code: what a broken device does. */
  readonly forge: (vq: Virtqueue, id: number) => void;
  /** A page, as one piece. */
  readonly page: () => Sg;
  readonly dmesg: () => string[];
}

/** Boot. */
export async function bootRing(
  options: { readonly iommu?: boolean; readonly ramBytes?: number; readonly config?: VirtioConfigOps } & BootOptions = {},
): Promise<Bench> {
  const log: LogLine[] = [];
  const hw = createMachine({
    seed: 1, ramBytes: options.ramBytes ?? 16 << 20, iommu: options.iommu ?? true, cmdline: '', release: '6.1.0',
    consoleSink: (line): undefined => void log.push(line),
  });
  const kernel = await bootBuiltins(['sched', 'mm', 'fs', 'driver-core', 'iommu', 'virtio-ring'], { ...options, machine: hw.machine });
  const { k } = kernel;
  const dev = await kernel.run(async () => makeDevice(k));
  const vdev = { dev, config: options.config ?? {} } as VirtioDevice; // a ring needs no more of it
  const packed = new WeakSet<Virtqueue>();
  const port = hw.dmaPort(RID);
  const area = (dma: number, size: number, write: boolean) => {
    const found = port.area(dma, size, write);
    if (found === null) throw new Error(`no way to 0x${dma.toString(16)}`);
    return found;
  };
  const view = (dma: number, size: number): DataView => {
    const { memory, offset } = area(dma, size, true);
    return new DataView(memory.buffer, memory.byteOffset + offset, size);
  };
  const bench: Bench = {
    ...kernel, hw, dev, vdev, view, kicks: 0, notifies: true, calls: 0,
    create(init = {}) {
      const vq = k.vring_create_virtqueue({
        index: 0, num: 8, align: 4096, vdev, features: usual, may_reduce_num: true, name: 'vq0', dma_dev: dev,
        notify() {
          bench.kicks++;
          return bench.notifies;
        },
        callback(): undefined {
          bench.calls++;
        },
        ...init,
      });
      if (((init.features ?? usual) & bits(VIRTIO_F_RING_PACKED)) !== 0n) packed.add(vq);
      return vq;
    },
    device(vq, eventIdx = false) {
      const num = k.virtqueue_get_vring_size(vq);
      const desc = area(k.virtqueue_get_desc_addr(vq), vring_desc_table_size(num), packed.has(vq));
      const [avail, used] = [k.virtqueue_get_avail_addr(vq), k.virtqueue_get_used_addr(vq)];
      if (packed.has(vq)) {
        const event = vring_packed_desc_event.size;
        return new PackedDevice({ num, desc, driver: area(avail, event, false), device: area(used, event, true) }, { translate: port, eventIdx });
      }
      return new SplitDevice({
        num, desc, avail: area(avail, vring_avail_size(num), false), used: area(used, vring_used_size(num), true),
      }, { translate: port, eventIdx });
    },
    forge(vq, id) {
      const used = view(k.virtqueue_get_used_addr(vq), vring_used_size(8));
      const idx = used.getUint16(2, true);
      used.setUint32(4 + 8 * (idx & 7), id, true);
      used.setUint16(2, idx + 1, true);
    },
    page: () => ({ pa: k.alloc_pages(1).pa, len: 4096 }),
    dmesg: () => log.splice(0).map(({ text }) => text),
  };
  return bench;
}

/** A device that DMAs on its own. */
function makeDevice(k: KernelSymbols): Device {
  const dev = k.device_initialize({ name: 'virtio0' });
  k.iommu_probe_device(dev, RID, null);
  return dev;
}

/** Take a chain as the device does and use it up. @returns head and segments */
export function serve(device: RingDevice, written = 0): { readonly segments: number; readonly lengths: readonly number[] } | null {
  const batch = new ChainBatch(1, 64);
  if (device.pop(batch) !== 1) return null;
  const lengths = [...batch.length.slice(0, batch.start[1]!)];
  device.push(device.lastHead, written);
  return { segments: lengths.length, lengths };
}
