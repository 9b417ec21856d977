/** Frames between two network functions on PCI, each driven in every way there is. */
import { createLab, type LabConfigInput, type UserProcess } from '@vdpalab/lab';
import { describe, expect, it } from 'vitest';
import { AF_PACKET, ETH_P_ALL, SOCK_RAW, VIRTIO_F_RING_PACKED, sockaddr_ll } from '@vdpalab/uapi';
import { interfaceOf, linkUp, packetSocket } from '../support/netdev.ts';
import { modprobe } from '../support/modprobe.ts';

type Function = NonNullable<NonNullable<LabConfigInput['pci']>['functions']>[number] & { model: 'virtio-net' };

/** Ways of having a function; `force` is virtio_pci's parameter, which counts for all functions that have a legacy interface. */
const ways: readonly (readonly [string, Partial<Function>, boolean])[] = [
  ['modern', { disable_legacy: true }, false],
  ['modern, packed rings', { disable_legacy: true, packed: true }, false],
  ['modern, packed rings, without merged buffers', { disable_legacy: true, packed: true, mrg_rxbuf: false, vectors: 2 }, false],
  ['transitional', {}, false],
  ['transitional, forced to be legacy', {}, true],
  ['legacy', { disable_modern: true }, false],
  ['legacy, without merged buffers', { disable_modern: true, mrg_rxbuf: false }, false],
  ['legacy, by its pin', { disable_modern: true, mrg_rxbuf: false, vectors: 0 }, false],
  ['modern, without merged buffers, two vectors', { disable_legacy: true, mrg_rxbuf: false, vectors: 2 }, false],
];

/** A packet socket that takes every frame of an interface. */
async function listener(p: UserProcess, name: string): Promise<number> {
  const fd = await p.socket(AF_PACKET, SOCK_RAW, 0);
  const sll_ifindex = Number(await p.readFile(`/sys/class/net/${name}/ifindex`));
  await p.bind(fd, sockaddr_ll.encode({ sll_family: AF_PACKET, sll_protocol: ETH_P_ALL, sll_ifindex }));
  return fd;
}

/** Broadcast frames of many lengths, up to the MTU. */
const frames = Array.from({ length: 40 }, (_, n) => Uint8Array.from({ length: 60 + 37 * n }, (__, i) => (i < 6 ? 0xff : i < 12 ? 2 : (i * 7 + n) & 0xff)));

describe.each([true, false])('with an IOMMU: %s', (iommu) => {
  it.each(ways)('a %s function sends and receives, byte for byte', async (_, over, force) => {
    const lab = await createLab({
      config: {
        memory: '64M', iommu, 'modprobe.d': force ? { 'pci.conf': 'options virtio_pci force_legacy=1\n' } : {},
        pci: {
          functions: [
            { at: '00:04.0', model: 'virtio-net', link: 'sw0', ...over },
            { at: '00:05.0', model: 'virtio-net', link: 'sw0', disable_legacy: true },
          ],
        },
        networks: [{ name: 'sw0' }],
      },
    });
    await lab.user(async (p) => {
      await modprobe(lab, p, 'virtio_pci');
      await modprobe(lab, p, 'virtio_net');
    });
    const names = await lab.user(async (p) => [await interfaceOf(p, '0000:00:04.0'), await interfaceOf(p, '0000:00:05.0')] as const);
    const features = await lab.user((p) => p.readFile('/sys/bus/pci/devices/0000:00:04.0/virtio0/features'));
    expect(features[VIRTIO_F_RING_PACKED]).toBe(over.packed === true ? '1' : '0');
    for (const name of names) await linkUp(lab, name, 1500);
    for (const [from, to] of [names, names.toReversed()] as [string, string][]) {
      const got = await lab.user(async (p) => {
        const [out, into] = [await packetSocket(p, from), await listener(p, to)];
        const arrived: Uint8Array[] = [];
        for (const frame of frames) {
          await p.write(out, frame);
          arrived.push(await p.read(into, 65_536));
        }
        await p.close(out);
        await p.close(into);
        return arrived;
      });
      expect(got.map((frame) => [...frame])).toEqual(frames.map((frame) => [...frame]));
    }
    expect(await lab.close()).toEqual([]);
  });
});
