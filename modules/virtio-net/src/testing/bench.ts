/** virtio_net over a transport whose device is the test: it takes chains and gives them back as it likes. */
import type { Device } from '@vdpalab/driver-core';
import type {} from '@vdpalab/fs';
import type {} from '@vdpalab/iommu';
import { createMachine } from '@vdpalab/machine';
import type { NetDevice } from '@vdpalab/netdev';
import { bootBuiltins } from '@vdpalab/testing';
import type { BootedKernel } from '@vdpalab/testing';
import { VIRTIO_F_VERSION_1, VIRTIO_ID_NET, vring_avail_size, vring_desc_table_size, vring_used_size } from '@vdpalab/uapi';
import type { VirtioConfigOps } from '@vdpalab/virtio';
import type { VirtioDevice, Virtqueue } from '@vdpalab/virtio-ring';
import { ChainBatch, SplitDevice } from '@vdpalab/vring';

/** One buffer the device has taken. */
export interface Taken {
  readonly head: number;
  readonly bytes: Uint8Array;
}

/** The device's configuration, and what happened. */
export interface Bench extends BootedKernel {
  readonly vdev: VirtioDevice;
  readonly config: Uint8Array;
  status: number;
  /** Kicks, by queue. */
  readonly kicks: number[];
  /** The interface; `null` when the probe failed. */
  readonly dev: NetDevice | null;
  /** Take the next buffer of a queue, in one piece. */
  readonly take: (queue: number) => Taken | null;
  /** Give buffers back with lengths of the device's choice, and interrupt. */
  readonly give: (queue: number, ...used: readonly (readonly [Taken, number])[]) => Promise<void>;
  /** What the device answers to commands; without one it never does. */
  ack: number | null;
  /** Commands it took, and how long they were. */
  readonly commands: number[][];
  /** The kernel's log. */
  readonly dmesg: () => readonly string[];
  /** Every later request to the ring fails. */
  readonly breakControl: () => void;
  /** The configuration changed. */
  readonly changed: () => Promise<void>;
}

/** @param features beyond VERSION_1, by bit */
export async function bootNet(features: readonly number[], config: Partial<{ mac: number[]; status: number; pairs: number; mtu: number }> = {}, num = 16): Promise<Bench> {
  const log: string[] = [];
  const hw = createMachine({ seed: 1, ramBytes: 32 << 20, iommu: false, cmdline: '', release: '6.1.0', consoleSink: ({ text }) => void log.push(text) });
  const kernel = await bootBuiltins(
    ['sched', 'mm', 'fs', 'driver-core', 'netlink', 'netdev', 'iommu', 'virtio-ring', 'virtio', 'virtio-net'], { machine: hw.machine },
  );
  const { k } = kernel;
  const space = new Uint8Array(24);
  space.set(config.mac ?? [2, 0, 0, 0, 0, 1], 0);
  new DataView(space.buffer).setUint16(6, config.status ?? 1, true);
  new DataView(space.buffer).setUint16(8, config.pairs ?? 0, true);
  new DataView(space.buffer).setUint16(10, config.mtu ?? 1500, true);
  const queues: { vq: Virtqueue; ring: SplitDevice }[] = [];
  const port = hw.dmaPort(8);
  const area = (pa: number, size: number) => {
    const found = port.area(pa, size, true);
    if (found === null) throw new Error(`no memory at 0x${pa.toString(16)}`);
    return found;
  };
  const ops: VirtioConfigOps = {
    get: async (_, offset, len) => space.slice(offset, offset + len),
    set: async (_, offset, bytes) => space.set(bytes, offset),
    get_status: async () => bench.status,
    set_status: async (_, status) => void (bench.status = status),
    reset: async () => void (bench.status = 0),
    get_features: async () => features.reduce((all, bit) => all | (1n << BigInt(bit)), 1n << BigInt(VIRTIO_F_VERSION_1)),
    finalize_features: async () => undefined,
    find_vqs: async (vdev, requests) => requests.map(({ name, callback }, index) => {
      const vq = k.vring_create_virtqueue({
        index, num, align: 4096, vdev, features: vdev.features, may_reduce_num: false, name: name ?? '', callback, dma_dev: vdev.dev,
        notify() {
          bench.kicks[index] = (bench.kicks[index] ?? 0) + 1;
          if (name === 'control') answer(index);
          return true;
        },
      });
      queues[index] = {
        vq,
        ring: new SplitDevice({
          num,
          desc: area(k.virtqueue_get_desc_addr(vq), vring_desc_table_size(num)),
          avail: area(k.virtqueue_get_avail_addr(vq), vring_avail_size(num)),
          used: area(k.virtqueue_get_used_addr(vq), vring_used_size(num)),
        }, { translate: port }),
      };
      return vq;
    }),
    async del_vqs() {
      for (const { vq } of queues.splice(0)) k.vring_del_virtqueue(vq);
    },
  };
  const batch = new ChainBatch(1, 64);
  /** A command is what the device reads; the answer is the one byte it writes. */
  const answer = (queue: number): void => {
    const { ring } = queues[queue]!;
    if (bench.ack === null || ring.pop(batch) !== 1) return;
    const [count, split] = [batch.start[1]!, batch.split[0]!];
    const piece = (s: number): Uint8Array => batch.memory[s]!.u8.subarray(batch.offset[s]!, batch.offset[s]! + batch.length[s]!);
    bench.commands.push(Array.from({ length: split }, (_, s) => [...piece(s)]).flat());
    piece(count - 1)[0] = bench.ack;
    ring.push(ring.lastHead, 1);
  };
  const bench: Omit<Bench, 'vdev' | 'dev'> = {
    ...kernel, config: space, status: 0, kicks: [0, 0], ack: 0, commands: [], dmesg: () => log,
    breakControl: () => k.__virtqueue_break(queues.at(-1)!.vq),
    take(queue) {
      const { ring } = queues[queue]!;
      if (ring.pop(batch) !== 1) return null;
      const pieces = Array.from({ length: batch.start[1]! }, (_, s) => batch.memory[s]!.u8.subarray(batch.offset[s]!, batch.offset[s]! + batch.length[s]!));
      const bytes = pieces.length === 1 ? pieces[0]! : Uint8Array.from(pieces.flatMap((piece) => [...piece]));
      return { head: ring.lastHead, bytes };
    },
    async give(queue, ...used) {
      const { ring, vq } = queues[queue]!;
      for (const [{ head }, length] of used) ring.push(head, length);
      await kernel.run(async () => void k.vring_interrupt(vq));
    },
    changed: () => kernel.run(async () => void k.virtio_config_changed(vdev)),
  };
  const vdev = await kernel.run(async () => {
    const parent: Device = k.device_initialize({ name: 'transport' });
    await k.device_add(parent);
    return k.register_virtio_device({ parent, id: { device: VIRTIO_ID_NET, vendor: 0 }, config: ops, transport: null, release: () => undefined });
  });
  return Object.assign(bench, { vdev, dev: k.netdevs()[0] ?? null });
}
