/** Pictures of the documents that began it all, drawn from live labs: what stands on what. */
import { readFileSync } from 'node:fs';
import { graphOf } from '@vdpalab/cli';
import { covers } from '@vdpalab/testing';
import { describe, expect, it } from 'vitest';
import { goesAsWritten, scenarioPath } from '../support/goes-as-written.ts';

for (const name of ['figure-vdpa', 'figure-mediated-devices']) goesAsWritten(name);

/** Edges of a picture of a scenario in front of its end, as `upper -> lower`, by what the nodes are called; process ids left out. */
async function edgesIn(scenario: string, what: 'devices' | 'modules'): Promise<string[]> {
  const after = scenarioPath(scenario);
  const until = readFileSync(after, 'utf8').split('\n').findIndex((line) => line.startsWith('$ kill ')) + 1;
  const { nodes, edges } = JSON.parse(await graphOf({ what, format: 'json', after, until })) as {
    nodes: { id: string; label: string }[]; edges: { from: string; to: string; label?: string }[];
  };
  const name = new Map(nodes.map(({ id, label }) => [id, label.replace(/\[\d+\]$/, '')]));
  return edges.map(({ from, to, label }) => `${name.get(from)} -> ${name.get(to)}${what === 'modules' ? `: ${label}` : ''}`).sort();
}

describe('the picture of vfio-mediated-device.txt', () => {
  const scenario = 'figure-mediated-devices';

  it('has users of VFIO over the bus driver, and that over every vendor\'s devices', async () => {
    const path = (n: number, vendor: string): string[] => {
      const uuid = `83b8f4f2-509f-382f-3c1e-e6bfe0fa100${n}`;
      return [`vfio-dev -> /dev/vfio/${n}`, `/dev/vfio/${n} -> vfio_mdev`, `vfio_mdev -> ${uuid}`, `${uuid} -> ${vendor}`, `${vendor} -> ${vendor}-0`];
    };
    expect(await edgesIn(scenario, 'devices')).toEqual([...path(1, 'nvidia'), ...path(2, 'i915'), ...path(3, 'ccw_device')].sort());
  });

  it('has all of them register with the core, and nobody with anybody else\'s module', async () => {
    const edges = await edgesIn(scenario, 'modules');
    const toCore = edges.filter((edge) => / -> mdev:/.test(edge));
    expect(toCore.map((edge) => edge.split(' ')[0])).toEqual(['ccw_device', 'i915', 'nvidia', 'vfio_mdev']);
    expect(toCore.filter((edge) => edge.includes('mdev_register_device')).map((edge) => edge.split(' ')[0])).toEqual(['ccw_device', 'i915', 'nvidia']);
    expect(toCore.find((edge) => edge.startsWith('vfio_mdev'))).toContain('mdev_register_driver');
    expect(edges.filter((edge) => /-> (nvidia|i915|ccw_device|vfio_mdev):/.test(edge))).toEqual([]);
  });
});

describe('the overview of the vDPA framework', () => {
  it('has VFIO, vhost and virtio over their bus drivers, those over the bus, and that over drivers of every kind of hardware', async () => {
    covers('1.1.23');
    const adi = 'ADI 83b8f4f2-509f-382f-3c1e-e6bfe0fa1001';
    expect(await edgesIn('figure-vdpa', 'devices')).toEqual([
      // A process over VFIO, the dedicated bus driver, the driver of the mediated device, and its interface.
      'vhost-net -> /dev/vfio/10', '/dev/vfio/10 -> vhost_mdev', 'vhost_mdev -> vdpa2', 'vdpa2 -> siov_adi_vdpa', `siov_adi_vdpa -> ${adi}`, `${adi} -> PF 0000:08:00.0`,
      // A process over vhost, and a virtual function.
      'vhost-net -> /dev/vhost-vdpa-0', '/dev/vhost-vdpa-0 -> vhost_vdpa', 'vhost_vdpa -> vdpa0', 'vdpa0 -> ifcvf', 'ifcvf -> VF 0000:07:00.2', 'VF 0000:07:00.2 -> PF 0000:07:00.0',
      // The same bus driver, and a subfunction.
      '/dev/vhost-vdpa-1 -> vhost_vdpa', 'vhost_vdpa -> vdpa3', 'vdpa3 -> mlx5_core.sf', 'mlx5_core.sf -> SF mlx5_core.sf.1', 'SF mlx5_core.sf.1 -> PF 0000:0a:00.0',
      // This kernel's own driver over the virtio bus, and a physical function.
      'virtio0 · virtio_net · eth0 -> virtio_vdpa', 'virtio_vdpa -> vdpa1', 'vdpa1 -> ifcvf', 'ifcvf -> PF 0000:09:00.0',
    ].sort());
  });

  it('has bus drivers and parents that need the bus, and not each other', async () => {
    const edges = await edgesIn('figure-vdpa', 'modules');
    const onBus = edges.filter((edge) => / -> vdpa:/.test(edge)).map((edge) => edge.split(' ')[0]);
    expect(onBus.sort()).toEqual(['ifcvf', 'mlx5_vdpa', 'siov_adi', 'vhost_mdev', 'vhost_vdpa', 'virtio_vdpa']);
    expect(edges.filter((edge) => /-> (ifcvf|mlx5_vdpa|siov_adi|vhost_mdev|vhost_vdpa|virtio_vdpa):/.test(edge))).toEqual([]);
  });
});
