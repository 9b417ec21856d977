import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Host } from '../cli.ts';
import { unreal } from '../mounted-lab.ts';
import { Guest } from './guest.ts';
import { GuestImage, missing, required } from './image.ts';
import { httpBothWays, linkUp, ping, tftpBothWays, type Peer } from './traffic.ts';

const absent = missing() ?? unreal;
const PEER: Peer = { ip: '10.0.0.1' };
const PROGRAM = fileURLToPath(new URL('../../../../tools/cli/bin/vdpalab.js', import.meta.url));
const VF = '0000:07:00.2';
const LAB = `
memory: 256M
pci:
  root_ports: [{at: "00:01.0", bus: 7}]
  functions:
    - {at: "07:00.0", model: n3000, link: sw0, sriov: {total: 2, offset: 2, stride: 1}}
networks:
  - {name: sw0, responders: [{}]}
`;
/** Milliseconds for two boots on a loaded machine. */
const SLOW = 300_000;

describe.skipIf(absent !== null && !required)(`QEMU's -device vfio-pci${absent === null ? '' : ` (missing: ${absent})`}`, () => {
  const host = new Host();
  const folder = mkdtempSync(join(tmpdir(), 'vdpalab-vfio-guest-'));
  let image: GuestImage;
  let guest: Guest | null = null;

  beforeAll(() => {
    image = new GuestImage();
  });
  afterAll(async () => {
    await guest?.kill();
    image.close();
    await host.run(['down']);
    host.close();
    rmSync(folder, { recursive: true });
  }, SLOW);

  /** Run a script in the lab with the host's own tools. */
  async function trapped(script: string): Promise<void> {
    expect(await host.bash(script, { exec: ['--trap'] })).toEqual({ stdout: '', stderr: '', status: 0 });
  }

  const boot = (): Promise<Guest> => Guest.start(image, {
    command: ['env', `VDPALAB_RUNTIME_DIR=${host.runtime}`, process.execPath, PROGRAM, 'exec', '--trap', '--', 'qemu-system-x86_64'],
    args: ['-device', `vfio-pci,host=${VF},rombar=0`],
  });

  it('gives a guest a virtual function: interrupts, pings, files; and has it back when the guest ends or is killed', async () => {
    const file = join(folder, 'lab.yaml');
    writeFileSync(file, LAB);
    expect((await host.run(['up', '--lab', file])).status).toBe(0);
    await trapped(`
      modprobe pci-pf-stub && echo 1af4 1041 8086 0 >/sys/bus/pci/drivers/pci-pf-stub/new_id && modprobe -a vfio-pci vfio_iommu_type1
      echo 1 >/sys/bus/pci/devices/0000:07:00.0/sriov_numvfs
      echo vfio-pci >/sys/bus/pci/devices/${VF}/driver_override && echo ${VF} >/sys/bus/pci/drivers_probe`);

    guest = await boot();
    await linkUp(guest);
    expect(await ping(guest, PEER, 20)).toMatchObject({ sent: 20, received: 20 });
    await tftpBothWays(guest, PEER, 2 ** 16);
    await httpBothWays(guest, PEER, 2 ** 18);
    const interrupts = await guest.ok('grep virtio0 /proc/interrupts');
    expect([...interrupts.matchAll(/^ *\d+: +(\d+) .*virtio0-(?:in|out)put/gm)].filter((m) => Number(m[1]) > 0)).toHaveLength(2);
    await guest.poweroff();

    guest = await boot();
    await linkUp(guest);
    expect(await ping(guest, PEER, 5)).toMatchObject({ sent: 5, received: 5 });
    await guest.kill();
    guest = null;

    await trapped(`
      until rmmod vfio_pci 2>/dev/null; do sleep 0.1; done # the host's kernel tells of a last close when it likes
      echo 0 >/sys/bus/pci/devices/0000:07:00.0/sriov_numvfs`);
    expect(await host.run(['down'])).toMatchObject({ stderr: '', status: 0 });
    await host.settled();
  }, SLOW);
});
