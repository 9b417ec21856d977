import { fileURLToPath } from 'node:url';
import { programs } from '@vdpalab/cli';
import { createLab } from '@vdpalab/lab';
import { Player } from '@vdpalab/shell';
import { covers } from '@vdpalab/testing';
import { expect, it } from 'vitest';

const SESSION = fileURLToPath(new URL('../../data/veth-session.pcap', import.meta.url));
const PF = 'pci/0000:08:00.0';
const OPERATIONS = {
  unbind: 'echo vdpa0 > /sys/bus/vdpa/drivers/vhost_vdpa/unbind',
  del: 'vdpa dev del vdpa0',
  inactive: `devlink port function set ${PF}/32768 state inactive`,
  rmmod: 'rmmod mlx5_vdpa',
} as const;
const SEND = 'tcpreplay -i eth0 /root/session.pcap > /dev/null 2>&1';
type Operation = keyof typeof OPERATIONS;

function orders(of: readonly Operation[]): Operation[][] {
  return of.length === 0 ? [[]] : of.flatMap((first) => orders(of.filter((other) => other !== first)).map((rest) => [first, ...rest]));
}

/** Two subfunctions: a process drives the first, the kernel sends from the second. */
async function lab(seed: number) {
  const made = await createLab({
    config: {
      memory: '64M', iommu: true,
      pci: {
        root_ports: [{ at: '00:01.0', bus: 8 }],
        functions: [{ at: '08:00.0', model: 'connectx', subfunctions: 2, queue_pairs: 1, vectors: 16, mtu: 9000, mac: '52:54:00:00:00:10', link: 'lan' }],
      },
      networks: [{ name: 'lan', kind: 'switch' }],
      files: { '/root/session.pcap': SESSION },
    },
    seed,
  });
  const player = await Player.open(made, { applets: programs });
  const sh = async (command: string): Promise<readonly string[]> => (await player.play(command)).out;
  const add = (n: number): string[] => [
    `devlink port add ${PF} flavour pcisf pfnum 0 sfnum ${n} > /dev/null`, `devlink port function set ${PF}/${32768 + n} state active`,
    `vdpa dev add name vdpa${n} mgmtdev auxiliary/mlx5_core.sf.${n + 1}`,
  ];
  for (const command of [
    'modprobe -a mlx5_vdpa vhost_vdpa virtio_net virtio_vdpa', `devlink dev eswitch set ${PF} mode switchdev`, ...add(0), ...add(1),
    'echo vdpa1 > /sys/bus/vdpa/drivers/vhost_vdpa/unbind', 'echo vdpa1 > /sys/bus/vdpa/drivers/virtio_vdpa/bind', 'ip link set eth0 up',
  ]) expect([command, await sh(command)]).toEqual([command, ['exit: 0']]);
  return { made, player, sh };
}

it.each(orders(['unbind', 'del', 'inactive', 'rmmod']).map((order, i) => [order.join(', '), order, i] as const))(
  'a running device whose file is open goes by %s at once', async (_, order, seed) => {
    covers('F22', '2.10.23');
    const { made, player, sh } = await lab(seed);
    const ops = order.map((operation) => `${OPERATIONS[operation]} 2>/dev/null`).join(' & ');
    const out = await sh(`vhost-net -d /dev/vhost-vdpa-0 -t 50 > /dev/null & ${SEND}; ${SEND} & ${ops} & wait`);
    expect(out.at(-1)).toBe('exit: 0');
    expect(await sh('vdpa dev show; vdpa mgmtdev show; ls /sys/class/net')).toEqual(['lo', 'exit: 0']);
    expect(await sh(`devlink port del ${PF}/32768; devlink port del ${PF}/32769; rmmod virtio_vdpa virtio_net vhost_vdpa mlx5_core`)).toEqual(['exit: 0']);
    await player.close();
    expect(await made.close()).toEqual([]);
  },
);
