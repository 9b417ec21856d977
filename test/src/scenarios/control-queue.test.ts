/** Control queues: in an address space of their own, and more queue pairs at a command, on every parent that has one. */
import { programs } from '@vdpalab/cli';
import { createLab } from '@vdpalab/lab';
import { Player } from '@vdpalab/shell';
import { covers, errnoOf } from '@vdpalab/testing';
import { AF_PACKET, ETH_P_ALL, SOCK_RAW, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, VIRTIO_NET_ERR, sockaddr_ll } from '@vdpalab/uapi';
import { VhostVdpaFile, VirtioUserNet } from '@vdpalab/user';
import { describe, expect, it } from 'vitest';
import { simLab, startPair } from '../support/index.ts';
import { interfaceOf, linkUp, packetSocket } from '../support/netdev.ts';
import { modprobe } from '../support/modprobe.ts';

const MAC = Uint8Array.of(2, 0, 0, 0, 0, 7);
/** To itself, as the simulator sends back. */
const frame = Uint8Array.from([...MAC, ...MAC, 8, 0, ...Array.from({ length: 60 }, (_, i) => i)]);

describe('a control queue in a group of its own', () => {
  it('has address space 1, and the data queues keep theirs', async () => {
    covers('3.5.6');
    const { lab, sh, close } = await simLab(['vhost_vdpa', 'vdpa_sim_net']);
    await sh('vdpa dev add name vdpa0 mgmtdev vdpasim_net mac 52:54:00:12:34:56');
    const process = await lab.process('vmm');
    const got = await lab.as(process, async (p) => {
      const net = await VirtioUserNet.start(p, '/dev/vhost-vdpa-0', { control: { mac: MAC } });
      await net.send(frame);
      const frames = await net.wait(1e9);
      const later = await net.control?.send(VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, Uint8Array.of(2, 0, 0, 0, 0, 8));
      const unknown = await net.control?.send(99, 0, new Uint8Array(1));
      const mac = (await net.file.config(0, 6)).at(-1);
      await net.stop();
      return { asid: net.control?.asid, frames, later, unknown, mac };
    });
    expect(got).toEqual({ asid: 1, frames: [frame], later: 0, unknown: VIRTIO_NET_ERR, mac: 8 });
    await lab.exitProcess(process);
    await sh('vdpa dev del vdpa0');
    expect(await close()).toEqual([]);
  });

  it('may have its memory where the data queues have theirs, which one address space refuses', async () => {
    const { lab, sh, close } = await simLab(['vhost_vdpa', 'vdpa_sim_net']);
    await sh('vdpa dev add name vdpa0 mgmtdev vdpasim_net');
    const process = await lab.process('vmm');
    const refused = await lab.as(process, async (p) => {
      const file = await VhostVdpaFile.open(p, '/dev/vhost-vdpa-0');
      const map = file.map.bind(file);
      Object.assign(file, { map: (...args: Parameters<typeof map>) => map(args[0], args[1], args[2], args[3]) }); // which space is meant is forgotten
      return await errnoOf(() => VirtioUserNet.on(p, file, { control: {} }));
    });
    expect(refused).toBe('EFAULT'); // so ends every message about a mapping that overlaps another
    await lab.exitProcess(process);
    await sh('vdpa dev del vdpa0');
    expect(await close()).toEqual([]);
  });
});

it('a control queue of a parent with one address space shares it', async () => {
  const { world, a, b, close } = await startPair({ queuePairs: 2, a: { control: { mac: MAC } } });
  const got = await world.lab.as(a.process, async () => {
    expect(a.net.control?.asid).toBe(0);
    return [...await a.net.file.config(0, 6)];
  });
  expect(got).toEqual([...MAC]);
  const toIt = frame.map((byte, i) => (i === 11 ? 9 : byte)); // from another
  await world.lab.as(b.process, () => b.net.send(toIt));
  expect(await world.lab.as(a.process, () => a.net.wait(1e9))).toEqual([toIt]);
  expect(await close()).toEqual([]);
});

describe('several queue pairs', () => {
  it.each([1, 3])('of which %i are used take every flow both ways', async (used) => {
    const lab = await createLab({
      config: {
        memory: '128M',
        pci: { functions: ['00:04.0', '00:05.0'].map((at) => ({ at, model: 'virtio-net' as const, link: 'sw0', disable_legacy: true, queue_pairs: 4 })) },
        networks: [{ name: 'sw0' }],
      },
    });
    await lab.user(async (p) => {
      await modprobe(lab, p, 'virtio_pci');
      await modprobe(lab, p, 'virtio_net');
    });
    const names = await lab.user(async (p) => [await interfaceOf(p, '0000:00:04.0'), await interfaceOf(p, '0000:00:05.0')] as const);
    for (const name of names) await linkUp(lab, name, 1500);
    const player = await Player.open(lab, { applets: programs });
    for (const name of names) {
      expect((await player.play(`ethtool -L ${name} combined ${used}; ethtool -l ${name} | tail -1`)).out).toEqual([`Combined:\t${used}`, 'exit: 0']);
    }
    await player.close();
    const flows = Array.from({ length: 24 }, (_, n) => Uint8Array.from({ length: 60 }, (__, i) => (i < 6 ? 0xff : i === 11 ? n : i < 12 ? 2 : i === 12 ? 0x88 : i === 13 ? 0xb5 : n)));
    for (const [from, to] of [names, [names[1], names[0]]] as const) {
      const got = await lab.user(async (p) => {
        const out = await packetSocket(p, from);
        const into = await p.socket(AF_PACKET, SOCK_RAW, 0);
        const sll_ifindex = Number(await p.readFile(`/sys/class/net/${to}/ifindex`));
        await p.bind(into, sockaddr_ll.encode({ sll_family: AF_PACKET, sll_protocol: ETH_P_ALL, sll_ifindex }));
        for (const flow of flows) await p.write(out, flow);
        const arrived: number[] = [];
        for (let n = 0; n < flows.length; n++) arrived.push((await p.read(into, 2048))[11]!);
        await p.close(out);
        await p.close(into);
        return arrived.toSorted((a, b) => a - b);
      });
      expect(got).toEqual(flows.map((_, n) => n));
    }
    expect(await lab.user(async (p) => (await p.readdir(`/sys/class/net/${names[0]}/queues`)).length)).toBe(2 * used);
    expect(await lab.close()).toEqual([]);
  });
});
