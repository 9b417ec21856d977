import type { TraceEvent } from '@vdpalab/abi';
import { programs } from '@vdpalab/cli';
import { createLab } from '@vdpalab/lab';
import { ConnectxFunction, EthernetSwitch, InjectionPort } from '@vdpalab/machine';
import { Player } from '@vdpalab/shell';
import { covers } from '@vdpalab/testing';
import * as uapi from '@vdpalab/uapi';
import { VirtioUserNet } from '@vdpalab/user';
import type { UserNetOptions } from '@vdpalab/user';
import { expect, it } from 'vitest';
import { sessionFrames, vhostPath } from '../support/index.ts';

const PAGE = 4096;
const MAC = '52:54:00:00:00:0b';
const isMac = (bytes: Uint8Array, at: number): boolean => Buffer.from(bytes.subarray(at, at + 6)).toString('hex') === MAC.replaceAll(':', '');
const hex = (frames: readonly Uint8Array[]): string[] => frames.map((bytes) => Buffer.from(bytes).toString('hex'));
/** Commands until there is `vdpa0`, by who translates for it. */
const SETUP = {
  platform: [
    'modprobe -a pci_pf_stub ifcvf', 'echo pci-pf-stub > /sys/bus/pci/devices/0000:09:00.0/driver_override', 'echo 0000:09:00.0 > /sys/bus/pci/drivers_probe',
    'echo 1 > /sys/bus/pci/devices/0000:09:00.0/sriov_numvfs', 'vdpa dev add name vdpa0 mgmtdev pci/0000:09:00.1',
  ],
  chip: [
    'modprobe mlx5_vdpa', 'devlink dev eswitch set pci/0000:08:00.0 mode switchdev', 'devlink port add pci/0000:08:00.0 flavour pcisf pfnum 0 sfnum 88 > /dev/null',
    `devlink port function set pci/0000:08:00.0/32768 hw_addr ${MAC}`, 'devlink port function set pci/0000:08:00.0/32768 state active',
    'vdpa dev add name vdpa0 mgmtdev auxiliary/mlx5_core.sf.1',
  ],
} as const;

/** A machine with a ConnectX and a function for ifcvf on one switch; a process drives the device of one of them. */
async function start(parent: keyof typeof SETUP, options: UserNetOptions = {}) {
  const events: TraceEvent[] = [];
  const lab = await createLab({
    config: {
      memory: '64M', iommu: true,
      pci: {
        root_ports: [{ at: '00:01.0', bus: 8, acs: true }, { at: '00:02.0', bus: 9, acs: true }],
        functions: [
          { at: '08:00.0', model: 'connectx', subfunctions: 2, queue_pairs: 1, vectors: 16, mtu: 9000, mac: '52:54:00:00:00:10', link: 'lan' },
          { at: '09:00.0', model: 'n3000', queue_size: 256, mtu: 1500, link: 'lan', sriov: { total: 1, offset: 1, stride: 1 }, vfs: { 0: { mac: MAC } } },
        ],
      },
      networks: [{ name: 'lan', kind: 'switch' }],
    },
    traceSink: (event): undefined => void events.push(event),
  });
  const player = await Player.open(lab, { applets: programs });
  const sh = async (command: string): Promise<void> => expect([command, (await player.play(command)).out]).toEqual([command, ['exit: 0']]);
  for (const command of ['modprobe vhost_vdpa', ...SETUP[parent]]) await sh(command);
  const [card, lan] = [lab.pci.find('08:00.0'), lab.pci.networks.get('lan')];
  if (!(card instanceof ConnectxFunction) || !(lan instanceof EthernetSwitch)) throw new Error('the machine is not as described');
  const outside = new InjectionPort(lan.attach('outside'));
  events.length = 0;
  const process = await lab.process('driver');
  const net = await lab.as(process, async (p) => VirtioUserNet.start(p, await vhostPath(p, 'vdpa0'), options));
  return {
    lab, card, events, net, outside, process, rid: parent === 'chip' ? card.rid : 0x901,
    /** Frames that arrive in the process. */
    async arrive(frames: readonly Uint8Array[]): Promise<Uint8Array[]> {
      for (const bytes of frames) outside.inject(bytes);
      const got: Uint8Array[] = [];
      await lab.as(process, async () => {
        for (let more = await net.wait(1e6); more.length > 0; more = await net.wait(1e6)) got.push(...more);
      });
      return got;
    },
    /** Frames that leave it. */
    async send(frames: readonly Uint8Array[]): Promise<Uint8Array[]> {
      await lab.as(process, async () => {
        for (const bytes of frames) await net.send(bytes);
      });
      await lab.run();
      return outside.take();
    },
    async close(): Promise<readonly string[]> {
      await lab.as(process, () => net.stop());
      await lab.exitProcess(process);
      await sh('vdpa dev del vdpa0');
      if (parent === 'platform') await sh('echo 0 > /sys/bus/pci/devices/0000:09:00.0/sriov_numvfs');
      await player.close();
      return await lab.close();
    },
  };
}

it('carries the same frames whether the platform translates or the chip', async () => {
  covers('F8', '1.1.2', '1.3.3', '1.3.4', '1.3.5', '1.4.8');
  const frames = sessionFrames().filter((bytes) => bytes.length <= 1514);
  const own = frames.filter((bytes) => isMac(bytes, 6));
  const mine = frames.filter((bytes) => !isMac(bytes, 6) && ((bytes[0]! & 1) !== 0 || isMac(bytes, 0)));
  const seen: Record<string, unknown> = {};
  const tables: Record<string, boolean> = {};
  const traces: Record<string, Set<string>> = {};
  for (const parent of ['platform', 'chip'] as const) {
    const made = await start(parent);
    seen[parent] = { arrived: hex(await made.arrive(mine)), left: hex(await made.send(own)) };
    traces[parent] = new Set(made.events.map(({ type }) => type));
    expect(made.lab.hw.counters.faults).toBe(0);
    tables[parent] = made.lab.hw.dmaPort(made.rid).area(Number(made.net.memory.iova), PAGE, false) !== null;
    tables[`${parent} key`] = [...Array(64).keys()].some((n) => made.card.keys.resolve(1, (n + 2) << 8, Number(made.net.memory.iova), false) && made.card.keys.bus !== Number(made.net.memory.iova));
    expect(await made.close()).toEqual([]);
  }
  expect(seen['platform']).toEqual({ arrived: hex(mine), left: hex(own) });
  expect(seen['chip']).toEqual(seen['platform']);
  expect(tables).toEqual({ platform: true, 'platform key': false, chip: false, 'chip key': true });
  expect([traces['platform']!.has('command'), traces['chip']!.has('command')]).toEqual([false, true]);
});

it('a page unmapped while frames come costs its frame, at the key; indices go on, also when it is back', async () => {
  covers('F7', '2.10.12', '1.3.6', '1.3.8');
  const made = await start('chip', { mapBy: PAGE });
  const { net, lab, process, card } = made;
  const frames = Array.from({ length: 12 }, (_, i) => new Uint8Array(100 + i).fill(0xff, 0, 6).fill(i, 14));
  expect(await made.arrive(frames)).toHaveLength(12);
  const { iova, rxAt, va } = net.memory;
  const victim = rxAt + (12 + 7) * PAGE; // buffers are used in the order they were given
  await lab.as(process, () => net.file.unmap(iova + BigInt(victim), BigInt(PAGE)));
  expect(hex(await made.arrive(frames))).toEqual(hex(frames.filter((_, i) => i !== 7)));
  expect([net.lost, lab.hw.counters.faults]).toEqual([1, 0]);
  expect(card.keyFaults).toEqual([expect.objectContaining({ stage: 'key', vhca: 1, address: Number(iova) + victim, by: 0x100, write: true, reason: 'null-key' })]);
  await lab.as(process, () => net.file.map(iova + BigInt(victim), BigInt(PAGE), BigInt(va + victim), uapi.VHOST_ACCESS_RW));
  for (let round = 0; round < 22; round++) expect(await made.arrive(frames)).toHaveLength(12);
  expect([net.lost, card.keyFaults.length, (await made.send(frames)).length]).toEqual([1, 1, 12]);
  expect(await made.close()).toEqual([]);
});
