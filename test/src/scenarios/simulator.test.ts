import { covers } from '@vdpalab/testing';
import { VIRTIO_F_RING_PACKED } from '@vdpalab/uapi';
import { VhostVdpaFile, vhostTest, VirtioUserNet } from '@vdpalab/user';
import { describe, expect, it } from 'vitest';
import { simLab } from '../support/index.ts';

const ADD = 'vdpa dev add name vdpa0 mgmtdev vdpasim_net mac 52:54:00:12:34:56';
const MAC = [0x52, 0x54, 0x00, 0x12, 0x34, 0x56];

describe('a device of the simulator', () => {
  it('stays without a driver until one is loaded by hand, and modplan says why', async () => {
    covers('2.1.11');
    const { sh, uevents, close } = await simLab(['vdpa_sim_net']);
    await sh(ADD);
    expect(uevents()).toEqual(['add@/devices/vdpa0 SUBSYSTEM=vdpa']); // no MODALIAS for anybody to load by
    expect(await sh('ls /sys/bus/vdpa/devices/vdpa0/modalias /sys/bus/vdpa/devices/vdpa0/driver; grep -c vdpa: /lib/modules/$(uname -r)/modules.alias'))
      .toEqual(expect.arrayContaining(['0', 'exit: 1']));
    expect(await sh('modplan /sys/bus/vdpa/devices/vdpa0')).toEqual([
      'nothing  vdpa0            has no modalias: bus vdpa lets no module be loaded for its devices',
      'by hand  vhost_mdev       registers a driver on bus vdpa',
      'by hand  vhost_vdpa       registers a driver on bus vdpa',
      'by hand  virtio_vdpa      registers a driver on bus vdpa',
      'unbound  vdpa0            the first driver that is registered takes it',
      'exit: 0',
    ]);
    await sh('modprobe vhost_vdpa');
    expect(uevents()).toContain('bind@/devices/vdpa0 SUBSYSTEM=vdpa DRIVER=vhost_vdpa');
    expect(await sh('modplan /sys/bus/vdpa/devices/vdpa0 | tail -1; modplan /sys/bus')).toEqual([
      'bound    vdpa0            to vhost_vdpa', "stderr: modplan: /sys/bus: not a device's directory", 'exit: 1',
    ]);
    await sh('vdpa dev del vdpa0');
    expect(await close()).toEqual([]);
  });

  it('offers no packed rings, which vringh cannot walk', async () => {
    covers('2.6.7');
    const { lab, sh, close } = await simLab(['vhost_vdpa', 'vdpa_sim_net', 'vdpa_sim_blk']);
    await sh('vdpa dev add name vdpa0 mgmtdev vdpasim_net; vdpa dev add name vdpa1 mgmtdev vdpasim_blk');
    const packed = 1n << BigInt(VIRTIO_F_RING_PACKED);
    for (const n of [0, 1]) {
      const taken = await lab.user(async (p) => {
        const file = await VhostVdpaFile.open(p, `/dev/vhost-vdpa-${n}`);
        const offered = await file.features();
        await file.setFeatures(offered | packed); // a driver that asks all the same
        await file.close();
        return offered & packed;
      });
      expect(taken).toBe(0n);
    }
    await sh('vdpa dev del vdpa0; vdpa dev del vdpa1');
    expect(await close()).toEqual([]);
  });

  it('is on no PCI function, and serves a process and a kernel driver all the same, one at a time', async () => {
    covers('1.1.9');
    const { lab, sh, close } = await simLab(['vhost_vdpa', 'virtio_vdpa', 'virtio_net', 'vdpa_sim_net']);
    await sh(ADD);
    expect(await sh('readlink -f /sys/bus/vdpa/devices/vdpa0; ls /sys/bus/pci/devices | wc -l')).toEqual(['/sys/devices/vdpa0', expect.any(String), 'exit: 0']);
    const frame = Uint8Array.from([...MAC, ...MAC, 8, 0, ...Array.from({ length: 60 }, (_, i) => i)]);
    const process = await lab.process('driver');
    const net = await lab.as(process, (p) => VirtioUserNet.start(p, '/dev/vhost-vdpa-0'));
    expect(await lab.as(process, async () => {
      await net.send(frame);
      return await net.wait(1e9);
    })).toEqual([frame]);
    expect(await sh('echo vdpa0 > /sys/bus/vdpa/drivers/virtio_vdpa/bind')).toContain('stderr: bash: echo: write error: Device or resource busy');
    await lab.as(process, () => net.stop());
    await lab.exitProcess(process);
    await sh('echo vdpa0 > /sys/bus/vdpa/drivers/vhost_vdpa/unbind; echo vdpa0 > /sys/bus/vdpa/drivers/virtio_vdpa/bind');
    expect(await sh('ls /sys/devices/vdpa0/virtio0/net; cat /sys/devices/vdpa0/virtio0/status')).toEqual(['eth0', '0x0000000f', 'exit: 0']);
    await sh('vdpa dev del vdpa0');
    expect(await close()).toEqual([]);
  });

  it('goes from open to traffic, suspend and reset, and every call is answered both ways', async () => {
    covers('F4');
    const { lab, sh, close } = await simLab(['vhost_vdpa', 'vdpa_sim_net']);
    await sh(ADD);
    const process = await lab.process('driver');
    const frame = Uint8Array.from([...MAC, ...MAC, 8, 0, ...Array.from({ length: 60 }, (_, i) => i)]);
    await lab.as(process, async (p) => {
      const net = await VirtioUserNet.start(p, '/dev/vhost-vdpa-0');
      for (let n = 0; n < 3; n++) await net.send(frame);
      const got = [];
      for (let more = await net.wait(1e6); more.length > 0; more = await net.wait(1e6)) got.push(...more);
      expect(got).toEqual([frame, frame, frame]);
      await net.file.suspend();
      expect([await net.file.vringBase(0), await net.file.vringBase(1), await net.file.status()]).toEqual([3, 3, 0xf]);
      await net.file.setStatus(0);
      expect([await net.file.vringBase(1), await net.file.status()]).toEqual([0, 0]);
      await net.stop();
    });
    const lines: string[] = [];
    await lab.as(process, (p) => vhostTest({ p, out: (text) => void lines.push(text), inChild: (body) => body(p) }, '/dev/vhost-vdpa-0'));
    const answers = new Map<string, Set<string>>();
    for (const line of lines.join('').split('\n')) {
      const [, call, answer] = /^(?:in a child process: )?(\w+).* -> (-1 \w+|\d+)$/.exec(line) ?? [];
      if (call !== undefined && answer !== undefined) answers.set(call, (answers.get(call) ?? new Set()).add(answer.startsWith('-1') ? 'refused' : 'done'));
    }
    const both = [...answers].filter(([, kinds]) => kinds.size === 2).map(([call]) => call);
    for (const call of [
      'GET_STATUS', 'SET_STATUS', 'SET_FEATURES', 'SET_BACKEND_FEATURES', 'GET_CONFIG', 'SET_CONFIG', 'SET_VRING_NUM', 'SET_VRING_BASE', 'GET_VRING_BASE',
      'SET_VRING_ADDR', 'SET_VRING_ENABLE', 'SET_VRING_KICK', 'SET_VRING_CALL', 'SET_CONFIG_CALL', 'SET_GROUP_ASID', 'SET_OWNER', 'UPDATE', 'INVALIDATE',
    ]) expect(both).toContain(call);
    await lab.exitProcess(process);
    await sh('vdpa dev del vdpa0');
    expect(await close()).toEqual([]);
  }, 90_000); // 2048 mappings, each of them told in a whole table
});
