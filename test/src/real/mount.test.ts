/** A mounted lab's buses and drivers, looked at and changed by the host's own bash and coreutils. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { mountedLab, needsReal } from './mounted-lab.ts';

const file = fileURLToPath(new URL('../../scenarios/flagship.yaml', import.meta.url));

/** Run a script with the mount as its working directory. The server never waits for it. @returns its lines */
function bash(dir: string, script: string): Promise<readonly string[]> {
  return new Promise((resolve) => {
    execFile('timeout', ['-s', 'KILL', '40', 'bash', '-c', `exec 2>&1; cd "$1" && { ${script}\n}`, 'bash', dir], { encoding: 'utf8', env: { ...process.env, LC_ALL: 'C' } },
      (_error, stdout) => resolve(stdout.replaceAll(/^bash: line \d+: /gm, 'bash: ').split('\n').slice(0, -1)));
  });
}

describe('a mounted lab', () => {
  test('has its vDPA device change the bus driver as a real machine does', async (context) => {
    needsReal(context);
    const { dir, sh, close } = await mountedLab({ file }, ['vhost_vdpa', 'virtio_vdpa', 'ifcvf', 'virtio_net', 'pci_pf_stub']);
    const pf = 'sys/bus/pci/devices/0000:07:00.0';
    expect(await bash(dir, `cat ${pf}/sriov_totalvfs; echo pci-pf-stub > ${pf}/driver_override && echo 0000:07:00.0 > sys/bus/pci/drivers_probe && echo 2 > ${pf}/sriov_numvfs; echo 3 > ${pf}/sriov_numvfs; ls sys/bus/pci/devices`))
      .toEqual(['8', 'bash: echo: write error: Device or resource busy', '0000:00:00.0', '0000:00:01.0', '0000:07:00.0', '0000:07:00.2', '0000:07:00.3']);
    await sh('vdpa dev add name vdpa0 mgmtdev pci/0000:07:00.2');
    expect(await bash(dir, `
      ls sys/bus/pci/devices/0000\\:07\\:00.2/ | grep vdpa; ls sys/bus/vdpa/devices/; readlink sys/bus/vdpa/devices/vdpa0/driver; ls dev | grep vdpa
      echo vdpa0 > sys/bus/vdpa/drivers/virtio_vdpa/bind
      echo vdpa0 > sys/bus/vdpa/drivers/vhost_vdpa/unbind && echo vdpa0 > sys/bus/vdpa/drivers/virtio_vdpa/bind
      echo vdpa0 > sys/bus/vdpa/drivers/vhost_vdpa/unbind; echo nosuch > sys/bus/vdpa/drivers_probe
      ls -l sys/bus/vdpa/devices/vdpa0/ | sed -E 's/ +[A-Z][a-z]{2} +[0-9]+ +[0-9:]+//'; cat sys/bus/virtio/devices/virtio0/status sys/class/net/eth0/address; ls dev | grep -c vdpa`)).toEqual([
      'vdpa0', 'vdpa0', '../../../../../bus/vdpa/drivers/vhost_vdpa', 'vhost-vdpa-0', 'bash: echo: write error: Device or resource busy', 'bash: echo: write error: No such device',
      'bash: echo: write error: No such device', 'total 0', 'lrwxrwxrwx 1 root root    0 driver -> ../../../../../bus/vdpa/drivers/virtio_vdpa', '-rw-r--r-- 1 root root 4096 driver_override',
      'drwxr-xr-x 2 root root    0 power', 'lrwxrwxrwx 1 root root    0 subsystem -> ../../../../../bus/vdpa', '-rw-r--r-- 1 root root 4096 uevent', '0x0000000f', '52:54:00:00:00:0a', '0',
    ]);
    await sh('vdpa dev del vdpa0');
    expect(await bash(dir, `ls sys/bus/vdpa/devices | wc -l; echo 0 > ${pf}/sriov_numvfs; ls sys/bus/pci/devices | wc -l`)).toEqual(['0', '3']);
    expect(await close()).toEqual([]);
  }, 120_000);

  test('lets an unbind wait for the last close of the character device, and nobody else', async (context) => {
    needsReal(context);
    const { dir, sh, lab, close } = await mountedLab({ config: { memory: '64M', iommu: false } }, ['vhost_vdpa', 'vdpa_sim_net']);
    await sh('vdpa dev add name vdpa0 mgmtdev vdpasim_net');
    expect(await bash(dir, `
      exec 3<>dev/vhost-vdpa-0; bash -c ': < dev/vhost-vdpa-0'
      { echo vdpa0 > sys/bus/vdpa/drivers/vhost_vdpa/unbind; echo unbound; } 3>&- &
      until [ ! -e dev/vhost-vdpa-0 ]; do :; done; cat sys/module/vhost_vdpa/initstate; jobs | grep -c Running; exec 3>&-; wait; [ -e sys/bus/vdpa/devices/vdpa0/driver ] || echo free`))
      .toEqual(['bash: dev/vhost-vdpa-0: Device or resource busy', 'live', '1', 'unbound', 'free']);
    await sh('vdpa dev del vdpa0');
    // Every process of the host that was there has gone from the lab.
    for (let i = 0; i < 200 && lab.symbol('processes')().some(({ comm }) => comm === 'bash'); i++) await new Promise((resolve) => setTimeout(resolve, 20));
    expect(await close()).toEqual([]);
  }, 120_000);

  test('shows itself to lspci and tree', async (context) => {
    needsReal(context);
    const { dir, sh, close } = await mountedLab({ file }, ['ifcvf']);
    const ours = await sh('lspci -nn');
    expect(await bash(dir, 'lspci -A linux-sysfs -O sysfs.path="$PWD/sys/bus/pci" -nn | sed -E "s/^0000://"; tree -L 1 sys/bus | tail -n 1'))
      .toEqual([...ours.map((line) => expect.stringContaining(line.slice(0, 7)) as string), expect.stringMatching(/^\d+ directories, 0 files$/)]);
    expect(await close()).toEqual([]);
  }, 120_000);
});
