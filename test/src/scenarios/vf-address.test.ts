/** What a physical function sets of its virtual ones: seen in vDPA devices, and in their frames. */
import { programs } from '@vdpalab/cli';
import { createLab } from '@vdpalab/lab';
import type { EthernetSwitch } from '@vdpalab/machine';
import { InjectionPort } from '@vdpalab/machine';
import { Player } from '@vdpalab/shell';
import { covers } from '@vdpalab/testing';
import { VirtioUserNet } from '@vdpalab/user';
import { expect, it } from 'vitest';
import { vhostPath } from '../support/index.ts';
import { goesAsWritten } from '../support/goes-as-written.ts';

goesAsWritten('vf-address', 'a physical function sets addresses that vDPA devices show');

const MAC = [0x02, 0, 0, 0, 0, 1];
/** A frame to everybody. @param tci with this tag when given */
const frame = (n: number, tci?: number): Uint8Array => Uint8Array.from([
  ...Array<number>(6).fill(0xff), ...MAC, ...(tci === undefined ? [] : [0x81, 0, tci >> 8, tci & 0xff]), 0x88, 0xb5, ...Array.from({ length: 60 }, (_, i) => n + i),
]);

it('the address is in the device\'s configuration, and the VLAN in its frames, while nobody on it knows', async () => {
  covers('1.4.4');
  const lab = await createLab({
    config: {
      memory: '64M',
      pci: { root_ports: [{ at: '00:01.0', bus: 7 }], functions: [{ at: '07:00.0', model: 'n3000', link: 'lan', sriov: { total: 1 } }] },
      networks: [{ name: 'lan' }],
    },
  });
  const player = await Player.open(lab, { applets: programs });
  const sh = async (command: string): Promise<readonly string[]> => {
    const { out } = await player.play(command);
    expect([command, out.at(-1)]).toEqual([command, 'exit: 0']);
    return out.slice(0, -1);
  };
  for (const command of [
    'modprobe -a n3000_pf ifcvf vhost_vdpa', 'echo n3000_pf > /sys/bus/pci/devices/0000:07:00.0/driver_override', 'echo 0000:07:00.0 > /sys/bus/pci/drivers_probe',
    'echo 1 > /sys/bus/pci/devices/0000:07:00.0/sriov_numvfs', 'vdpa dev add name vdpa0 mgmtdev pci/0000:07:00.2',
    'ip link set eth0 vf 0 mac 02:00:00:00:00:01 vlan 5 qos 3',
  ]) await sh(command);
  expect(await sh('vdpa dev config show vdpa0')).toEqual([expect.stringContaining('mac 02:00:00:00:00:01')]);
  expect((await sh('ip link show eth0')).at(-1)).toMatch(/vf 0 .*02:00:00:00:00:01 .*vlan 5, qos 3,/);

  const lan = lab.pci.networks.get('lan') as EthernetSwitch;
  const outside = new InjectionPort(lan.attach('outside'));
  const process = await lab.process('driver');
  const net = await lab.as(process, async (p) => VirtioUserNet.start(p, await vhostPath(p, 'vdpa0')));
  const passes = async (n: number, arriving: readonly Uint8Array[]): Promise<{ left: Uint8Array[]; arrived: Uint8Array[] }> => {
    await lab.as(process, () => net.send(frame(n)));
    for (const bytes of arriving) outside.inject(bytes);
    await lab.run();
    return { left: outside.take(), arrived: await lab.as(process, () => net.wait(1e6)) };
  };
  expect(await passes(1, [frame(2, 5), frame(3, 6), frame(4)])).toEqual({ left: [frame(1, 0x6005)], arrived: [frame(2)] });
  await sh('ip link set eth0 vf 0 vlan 0');
  expect(await passes(5, [frame(6, 5), frame(7)])).toEqual({ left: [frame(5)], arrived: [frame(6, 5), frame(7)] });

  // The tag stays with the number of the function, as the address does.
  await sh('ip link set eth0 vf 0 vlan 9');
  await lab.as(process, () => net.stop());
  await lab.exitProcess(process);
  for (const count of [0, 1]) await sh(`echo ${count} > /sys/bus/pci/devices/0000:07:00.0/sriov_numvfs`);
  expect((await sh('ip link show eth0')).at(-1)).toMatch(/vf 0 .*02:00:00:00:00:01 .*vlan 9,/);
  await sh('echo 0 > /sys/bus/pci/devices/0000:07:00.0/sriov_numvfs');
  await player.close();
  expect(await lab.close()).toEqual([]);
});
