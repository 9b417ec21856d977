/** Packed rings of ConnectX subfunctions: asked for when the device is made, and frames over them, byte for byte. */
import {
  AF_PACKET, ETH_P_ALL, SOCK_RAW, VIRTIO_F_ACCESS_PLATFORM, VIRTIO_F_RING_PACKED, VIRTIO_F_VERSION_1, VIRTIO_NET_F_CTRL_VQ, VIRTIO_NET_F_MAC,
  VIRTIO_NET_F_MRG_RXBUF, bits, sockaddr_ll,
} from '@vdpalab/uapi';
import { NetlinkError, vdpaDevAdd, vdpaDevDel } from '@vdpalab/user';
import { expect, it } from 'vitest';
import { linkUp, packetSocket, simLab } from '../support/index.ts';

const PACKED = bits(VIRTIO_F_VERSION_1, VIRTIO_F_ACCESS_PLATFORM, VIRTIO_F_RING_PACKED, VIRTIO_NET_F_MAC);
const SF = (n: number): string => `auxiliary/mlx5_core.sf.${n}`;
const frames = Array.from({ length: 600 }, (_, n) => Uint8Array.from({ length: 60 + ((37 * n) % 1400) }, (__, i) => (i < 6 ? 0xff : i < 12 ? 2 : (i * 7 + n) & 0xff)));

it.each([true, false])('two subfunctions send to each other over packed rings, more than a lap, with merged buffers: %s', async (merged) => {
  const { lab, sh, close } = await simLab(['mlx5_vdpa', 'virtio_vdpa', 'virtio_net'], 1, {
    memory: '128M', iommu: true,
    pci: {
      root_ports: [{ at: '00:01.0', bus: 8 }],
      functions: [{ at: '08:00.0', model: 'connectx', subfunctions: 2, vectors: 16, link: 'lan', mac: '52:54:00:00:00:10', packed: true }],
    },
    networks: [{ name: 'lan', kind: 'switch' }],
  });
  const says = async (line: string): Promise<string> => {
    const out = await sh(line);
    expect([line, out.at(-1)]).toEqual([line, 'exit: 0']);
    return out.join('\n');
  };
  await says('devlink dev eswitch set pci/0000:08:00.0 mode switchdev');
  for (const n of [1, 2]) {
    await says(`devlink port add pci/0000:08:00.0 flavour pcisf pfnum 0 sfnum ${n} > /dev/null && devlink port function set pci/0000:08:00.0/${32767 + n} state active`);
  }
  expect(await says('vdpa mgmtdev show')).toContain('RING_PACKED');
  const features = merged ? PACKED | bits(VIRTIO_NET_F_MRG_RXBUF) : PACKED;
  await lab.user(async (p) => {
    await expect(vdpaDevAdd(p, 'vdpa0', SF(1), { features: features | bits(VIRTIO_NET_F_CTRL_VQ) })).rejects.toThrow(NetlinkError);
    for (const n of [0, 1]) await vdpaDevAdd(p, `vdpa${n}`, SF(n + 1), { features });
  });
  expect((await says('cat /sys/bus/virtio/devices/virtio0/features'))[VIRTIO_F_RING_PACKED]).toBe('1');
  for (const name of ['eth0', 'eth1']) await linkUp(lab, name, 1500);
  const got = await lab.user(async (p) => {
    const out = await packetSocket(p, 'eth0');
    const into = await p.socket(AF_PACKET, SOCK_RAW, 0);
    await p.bind(into, sockaddr_ll.encode({ sll_family: AF_PACKET, sll_protocol: ETH_P_ALL, sll_ifindex: Number(await p.readFile('/sys/class/net/eth1/ifindex')) }));
    const arrived: Uint8Array[] = [];
    for (const frame of frames) {
      await p.write(out, frame);
      arrived.push(await p.read(into, 65_536));
    }
    return arrived;
  });
  expect(got.map((frame) => Buffer.from(frame).toString('hex'))).toEqual(frames.map((frame) => Buffer.from(frame).toString('hex')));
  await lab.user(async (p) => {
    for (const n of [0, 1]) await vdpaDevDel(p, `vdpa${n}`);
  });
  expect(await close()).toEqual([]);
});
