/** The host's mdevctl in a lab: types, list, start, stop, define, on parents of either surface. */
import { fileURLToPath } from 'node:url';
import { covers } from '@vdpalab/testing';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { Host, needsEntry } from './cli.ts';

const host = new Host();
const ONE = '83b8f4f2-509f-382f-3c1e-e6bfe0fa1001';
const TWO = '83b8f4f2-509f-382f-3c1e-e6bfe0fa1002';
/** A lab with toy vendors of 2016. */
const vendors = fileURLToPath(new URL('../../scenarios/mdev-2016.yaml', import.meta.url));

/** Lines that say something: mdevctl ends its lists with an empty one, ls parts its own by one. */
const lines = (text: string): string[] => text.split('\n').filter((line) => line !== '');

afterEach(() => host.settled());
afterAll(() => host.close());

describe('mdevctl', { timeout: 120_000 }, () => {
  it('lists the types of the samples as its manual shows them', async (context) => {
    needsEntry(context, 'mdevctl');
    covers('1.7.32');
    const { stdout, stderr, status } = await host.bash('modprobe -a mtty mdpy && mdevctl types && mdevctl types --dumpjson --parent mtty');
    expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
    const [text, json] = stdout.split(/\n(?=\[)/) as [string, string];
    expect(lines(text)).toEqual([
      'mdpy',
      ...([['hd', '1920x1080'], ['vga', '640x480'], ['xga', '1024x768']] as const).flatMap(([type, pixels]) => [
        `  mdpy-${type}`, '    Available instances: 4', '    Device API: vfio-pci', `    Name: mdpy-${type}`, `    Description: virtual display, ${pixels} framebuffer`,
      ]),
      'mtty',
      '  mtty-1', '    Available instances: 24', '    Device API: vfio-pci', '    Name: Single port serial',
      '  mtty-2', '    Available instances: 12', '    Device API: vfio-pci', '    Name: Dual port serial',
    ]);
    expect(JSON.parse(json)).toEqual([{
      mtty: [
        { 'mtty-1': { available_instances: 24, device_api: 'vfio-pci', name: 'Single port serial' } },
        { 'mtty-2': { available_instances: 12, device_api: 'vfio-pci', name: 'Dual port serial' } },
      ],
    }]);
  });

  it('starts and stops devices, and is told why not', async (context) => {
    needsEntry(context, 'mdevctl');
    covers('1.7.32', '1.4.2');
    const { stdout, stderr, status } = await host.bash(`
      modprobe mtty
      mdevctl start -u ${ONE} -p mtty -t mtty-2 && mdevctl list && ls /sys/bus/mdev/devices /dev/vfio
      mdevctl start -u ${ONE} -p mtty -t mtty-1; echo "again: $?"
      mdevctl start -u ${TWO} -p mtty -t mtty-9; echo "type: $?"
      mdevctl start -u ${TWO} -p nosuch -t mtty-1; echo "parent: $?"
      cat /sys/class/mdev_bus/mtty/mdev_supported_types/*/available_instances
      mdevctl stop -u ${ONE}; echo "stop: $?"; mdevctl stop -u ${ONE}; echo "stop again: $?"; mdevctl list; ls /sys/bus/mdev/devices`);
    expect(lines(stdout)).toEqual([
      `${ONE} mtty mtty-2 manual`, '/dev/vfio:', expect.stringMatching(/^\d+$/), 'vfio', '/sys/bus/mdev/devices:', ONE,
      'again: 1', 'type: 1', 'parent: 1', '22', '11', 'stop: 0', 'stop again: 1',
    ]);
    expect(lines(stderr).filter((line) => line.startsWith('Error'))).toEqual([
      'Error: Device exists with different type', 'Error: Parent mtty does not support mdev type mtty-9', "Error: Unable to find parent device 'nosuch'", `Error: Error removing device ${ONE}`,
    ]);
    expect(status).toBe(0);
  });

  it('starts what was defined, and forgets it', async (context) => {
    needsEntry(context, 'mdevctl');
    covers('1.7.32');
    const { stdout, stderr, status } = await host.bash(`
      mount -t tmpfs none /etc/mdevctl.d && mkdir -p /etc/mdevctl.d/scripts.d/callouts /etc/mdevctl.d/scripts.d/notifiers && modprobe mtty
      mdevctl define -u ${ONE} -p mtty -t mtty-2 --auto && mdevctl list -d && mdevctl start -u ${ONE} && mdevctl list && mdevctl list -d
      mdevctl stop -u ${ONE}; mdevctl list; mdevctl list -d; mdevctl undefine -u ${ONE}; mdevctl list -d; ls /sys/bus/mdev/devices`);
    expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
    const [defined, active] = [`${ONE} mtty mtty-2 auto`, `${ONE} mtty mtty-2 auto (active)`];
    expect(lines(stdout)).toEqual([defined, expect.stringContaining(`${ONE} mtty mtty-2`), active, defined]);
  });

  it('does the same with vendors of 2016, whose drivers come later', async (context) => {
    needsEntry(context, 'mdevctl');
    covers('1.7.32', '1.9.21');
    const { stdout, status } = await host.bash(`
      modprobe -a nvidia ccw_device
      mdevctl start -u ${ONE} -p nvidia-0 -t nvidia-grid-12 && mdevctl start -u ${TWO} -p ccw_device-0 -t ccw_device-io && mdevctl list | sort
      ls /dev/vfio; modprobe vfio_mdev; ls /dev/vfio
      mdevctl stop -u ${TWO} && mdevctl stop -u ${ONE} && ls /dev/vfio /sys/bus/mdev/devices`, { exec: ['--lab', vendors] });
    expect(lines(stdout)).toEqual([
      `${ONE} nvidia-0 nvidia-grid-12 manual`, `${TWO} ccw_device-0 ccw_device-io manual`, 'vfio', '1', '2', 'vfio', '/dev/vfio:', 'vfio', '/sys/bus/mdev/devices:',
    ]);
    expect(status).toBe(0);
  });
});
