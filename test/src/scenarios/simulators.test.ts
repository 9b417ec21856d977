import { createLab, type Lab } from '@vdpalab/lab';
import { covers, errnoOf } from '@vdpalab/testing';
import { VIRTIO_CONFIG_S_DRIVER_OK } from '@vdpalab/uapi';
import { vdpaDevAdd, vdpaDevDel, VhostVdpaFile, VirtioUserNet } from '@vdpalab/user';
import { expect, it } from 'vitest';
import { goesAsWritten } from '../support/goes-as-written.ts';
import { modprobe } from '../support/index.ts';

const MAC = Uint8Array.of(0x52, 0x54, 1, 2, 3, 4);

goesAsWritten('simulators', 'devices made of software, from insmod to rmmod');

/** A lab with the network simulator under vhost_vdpa, and its device. */
async function withDevice(): Promise<Lab> {
  const lab = await createLab({ config: { memory: '64M' } });
  await lab.user(async (p) => {
    for (const name of ['vhost_vdpa', 'vdpa_sim_net']) await modprobe(lab, p, name);
    await vdpaDevAdd(p, 'vdpa0', 'vdpasim_net', { mac: MAC });
  });
  return lab;
}

it('a process with a driver of its own gets back what it sends', async () => {
  covers('1.2.3');
  const lab = await withDevice();
  const process = await lab.process('net');
  await lab.as(process, async (p) => {
    const net = await VirtioUserNet.start(p, '/dev/vhost-vdpa-0');
    const frames = Array.from({ length: 300 }, (_, i) => Uint8Array.of(...MAC, ...Array.from({ length: 54 }, (__, b) => (b * i) & 0xff)));
    const got: Uint8Array[] = [];
    for (const frame of frames) {
      await net.send(frame);
      got.push(...await net.wait(1e6));
    }
    expect(got).toEqual(frames);
    await net.stop();
  });
  await lab.exitProcess(process);
  await lab.user((p) => vdpaDevDel(p, 'vdpa0'));
  expect(await lab.close()).toEqual([]);
});

it('a device is started, used, suspended, asked where it is and reset, and each step is refused where it may be', async () => {
  covers('F4');
  const lab = await withDevice();
  const process = await lab.process('net');
  await lab.as(process, async (p) => {
    const net = await VirtioUserNet.start(p, '/dev/vhost-vdpa-0');
    const { file } = net;
    expect(await errnoOf(() => VhostVdpaFile.open(p, '/dev/vhost-vdpa-0'))).toBe('EBUSY');
    expect(await errnoOf(() => file.setOwner())).toBe('EBUSY');
    expect(await errnoOf(() => file.setFeatures(0n))).toBe('EBUSY');
    expect(await errnoOf(() => file.setBackendFeatures(1n))).toBe('EOPNOTSUPP');
    expect(await errnoOf(() => file.map(net.memory.iova, 4096n, BigInt(net.memory.va), 3))).toBe('EFAULT'); // it is mapped
    expect(await errnoOf(() => file.setVringNum(0, 3))).toBe('EINVAL');
    expect(await errnoOf(() => file.setVringAddr(9, 0n, 0n, 0n))).toBe('ENOBUFS');
    expect(await errnoOf(() => file.setVringKick(0, 99))).toBe('EBADF');
    expect(await errnoOf(() => file.config(20, 9))).toBe('EINVAL');
    expect(await errnoOf(() => file.setStatus(1))).toBe('EINVAL');

    for (let i = 0; i < 3; i++) {
      await net.send(Uint8Array.of(...MAC, ...new Uint8Array(54)));
      expect((await net.wait(1e6)).length).toBe(1);
    }
    await file.suspend();
    expect([await file.vringBase(0), await file.vringBase(1)]).toEqual([3, 3]);
    await net.send(Uint8Array.of(...MAC, ...new Uint8Array(54)));
    expect([(await net.wait(1e6)).length, await file.vringBase(1)]).toEqual([0, 3]);
    expect(await errnoOf(() => file.resume())).toBe('EOPNOTSUPP'); // DRIVER_OK once more is how it goes on here
    await file.setStatus((await file.status()) | VIRTIO_CONFIG_S_DRIVER_OK);
    await net.stop();
  });
  await lab.exitProcess(process);
  await lab.user((p) => vdpaDevDel(p, 'vdpa0'));
  expect(await lab.close()).toEqual([]);
});
