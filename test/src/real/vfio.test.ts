/** A user-mode driver of the host on VFIO devices of a lab: every call and what it comes to, for hardware and for mediated devices. */
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { covers } from '@vdpalab/testing';
import { afterAll, expect, it } from 'vitest';
import { Host, needsEntry } from './cli.ts';

const host = new Host();
const folder = mkdtempSync(join(tmpdir(), 'vdpalab-vfio-'));
const path = (name: string): string => fileURLToPath(new URL(`../../${name}`, import.meta.url));
const VF = '0000:07:00.2';
const MDEV = '83b8f4f2-509f-382f-3c1e-e6bfe0fa100';
/** What the program is used on, and where that is in sysfs. */
const DEVICES = { 'n3000-vf': `/sys/bus/pci/devices/${VF}`, mtty: `/sys/bus/mdev/devices/${MDEV}1`, mdpy: `/sys/bus/mdev/devices/${MDEV}2` } as const;

afterAll(() => {
  rmSync(folder, { recursive: true });
  host.close();
});

it('meets every call as its transcripts say, on a virtual function, mtty and mdpy', async (context) => {
  needsEntry(context, 'gcc', 'driverctl', 'udevadm', 'setpriv');
  covers('2.12.1', '2.12.9', '2.12.11', '2.12.19', '2.13.1');
  const client = join(folder, 'client');
  const compiled = spawnSync('gcc', ['-O1', '-o', client, path('testdata/vfio-client.c')], { encoding: 'utf8' });
  expect(compiled.stderr).toBe('');
  chmodSync(folder, 0o755); // its last user is nobody
  const script = `
    use() { group=$(readlink $1/iommu_group); device=\${1##*/}; shift; "$@" "\${group##*/}" $device; }
    modprobe pci-pf-stub && echo 1af4 1041 8086 0 >/sys/bus/pci/drivers/pci-pf-stub/new_id && modprobe -a vfio_iommu_type1 mtty mdpy
    echo 1 >/sys/bus/pci/devices/0000:07:00.0/sriov_numvfs && driverctl --nosave set-override ${VF} vfio-pci
    echo ${MDEV}1 >/sys/class/mdev_bus/mtty/mdev_supported_types/mtty-2/create
    echo ${MDEV}2 >/sys/class/mdev_bus/mdpy/mdev_supported_types/mdpy-vga/create
    ${Object.entries(DEVICES).map(([name, dir]) => `use ${dir} ${client} >${folder}/${name}`).join('\n')}
    echo 2 >/sys/module/vfio_iommu_type1/parameters/dma_entry_limit
    chmod 666 /dev/vfio/*; ulimit -l 16; use ${DEVICES['n3000-vf']} setpriv --reuid 65534 --clear-groups ${client} limits >${folder}/limits
    until rmmod vfio_pci mdpy mtty 2>/dev/null; ! lsmod | grep -q 'vfio_pci \\|mtty\\|mdpy'; do sleep 0.1; done # the host's kernel tells of a last close when it likes
    echo 0 >/sys/bus/pci/devices/0000:07:00.0/sriov_numvfs`;
  const { stdout, stderr } = await host.bash(script, { exec: ['--trap', '--lab', path('scenarios/flagship.yaml')] });
  expect({ stdout, stderr }).toEqual({ stdout: '', stderr: '' });
  for (const name of [...Object.keys(DEVICES), 'limits']) {
    await expect(readFileSync(join(folder, name), 'utf8')).toMatchFileSnapshot(path(`testdata/vfio-client/${name}.txt`));
  }
  await host.settled();
}, 120_000);
