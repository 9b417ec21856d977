/** What a vDPA device has in sysfs: its name and its driver, and nothing that must be there beside. */
import { covers } from '@vdpalab/testing';
import { expect, it } from 'vitest';
import { simLab } from '../support/index.ts';

/** Type, mode and, of files, size, of a long listing's lines: `drwxr-xr-x power`. */
const columns = (lines: readonly string[]): string[] => lines.filter((line) => /^[-dl]r/.test(line)).map((line) => {
  const [mode = '', , , , size, , , , name] = line.split(/\s+/);
  return mode.startsWith('-') ? `${mode} ${size} ${name}` : `${mode} ${name}`;
});

it('lists as in the article on the framework, a device of today with driver_override beside', async () => {
  covers('1.9.8');
  const { sh, close } = await simLab(['virtio_vdpa', 'vdpa_sim_net']);
  await sh('vdpa dev add name vdpa0 mgmtdev vdpasim_net');
  // As printed there: kernel 5.7, before driver_override.
  const article = columns(`
lrwxrwxrwx 1 root root 0 June  23 11:19 driver -> ../../bus/vdpa/drivers/virtio_vdpa
drwxr-xr-x 2 root root 0 June 23 11:19 power
lrwxrwxrwx 1 root root 0 June  23 11:19 subsystem -> ../../bus/vdpa
-rw-r--r-- 1 root root 4096 June  23 11:19 uevent
drwxr-xr-x 4 root root 0 June  23 11:19 virtio0`.split('\n'));
  const listed = await sh('ls -l /sys/bus/vdpa/devices/vdpa0/');
  expect(columns(listed).filter((line) => !line.endsWith('driver_override'))).toEqual(article);
  expect(columns(listed)).toContain('-rw-r--r-- 4096 driver_override');
  expect(listed.find((line) => line.includes(' driver -> '))).toMatch(/\.\.\/\.\.\/bus\/vdpa\/drivers\/virtio_vdpa$/);
  await sh('vdpa dev del vdpa0');
  expect(await close()).toEqual([]);
});

it('names the device and takes a driver\'s name, by which it is bound: no other attribute is needed', async () => {
  covers('1.9.9');
  const { sh, close } = await simLab(['vdpa_sim_net', 'vhost_vdpa', 'virtio_vdpa']);
  await sh('echo 0 > /sys/bus/vdpa/drivers_autoprobe; vdpa dev add name vdpa0 mgmtdev vdpasim_net');
  expect(await sh('ls /sys/bus/vdpa/devices/vdpa0/')).toEqual(['driver_override', 'power', 'subsystem', 'uevent', 'exit: 0']);
  for (const driver of ['vhost_vdpa', 'virtio_vdpa']) {
    expect(await sh(`echo vdpa0 > /sys/bus/vdpa/drivers/${driver}/bind; basename $(readlink /sys/bus/vdpa/devices/vdpa0/driver)`)).toEqual([driver, 'exit: 0']);
    expect(await sh(`echo vdpa0 > /sys/bus/vdpa/drivers/${driver}/unbind`)).toEqual(['exit: 0']);
  }
  await sh('vdpa dev del vdpa0');
  expect(await close()).toEqual([]);
});
