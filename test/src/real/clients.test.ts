/** Programs of the host that read sysfs, unmodified, in a lab with an N3000 and two of its virtual functions. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it, type TestContext } from 'vitest';
import { Host, needsEntry, outcome, said, type Outcome } from './cli.ts';

const host = new Host();
const flagship = fileURLToPath(new URL('../../scenarios/flagship.yaml', import.meta.url));
const VF = '0000:07:00.2';
const SETUP = `
  modprobe pci-pf-stub && echo 1af4 1041 8086 0 >/sys/bus/pci/drivers/pci-pf-stub/new_id &&
  modprobe -a ifcvf vhost_vdpa virtio_pci && echo 2 >/sys/bus/pci/devices/0000:07:00.0/sriov_numvfs &&
  vdpa dev add name vdpa0 mgmtdev pci/${VF}`;

let up: Outcome | null = null;

beforeAll(async () => {
  up = await host.run(['up', '--lab', flagship]);
  if (up.status === 0) up = await host.bash(SETUP);
}, 120_000);
afterAll(async () => {
  await host.bash('echo 0 >/sys/bus/pci/devices/0000:07:00.0/sriov_numvfs');
  await host.run(['down']);
  await host.settled();
  host.close();
}, 120_000);

/** Run a script in the lab. @returns what it prints; anything on stderr fails */
async function inLab(context: TestContext, script: string, ...programs: string[]): Promise<string> {
  needsEntry(context, ...programs);
  expect(up).toEqual({ stdout: '', stderr: '', status: 0 });
  const { stdout, stderr, status } = await host.bash(script);
  expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
  return stdout;
}

describe('lspci', { timeout: 120_000 }, () => {
  it('decodes every capability of every function, and finds its driver and modules', async (context) => {
    const text = await inLab(context, 'lspci -Dnnvvvk', 'lspci');
    expect(text).not.toMatch(/access denied|unknown|reserved|\?\?|<chain broken>/i);
    const functions = Object.fromEntries(text.split('\n\n').filter((part) => part !== '').map((part) => [part.slice(0, 12), part]));
    const has = (bdf: string, ...lines: string[]): void => {
      for (const line of lines) expect(functions[bdf]).toContain(line);
    };
    expect(Object.keys(functions)).toEqual(['0000:00:00.0', '0000:00:01.0', '0000:07:00.0', VF, '0000:07:00.3']);
    has('0000:00:01.0', '[1b36:000c]', 'Bus: primary=00, secondary=07', 'Express (v2) Root Port (Slot-), MSI 00', 'ACSCtl:\tSrcValid+', 'LnkCtl2: Target Link Speed: 8GT/s', 'IOMMU group: 1');
    has('0000:07:00.0',
      'Subsystem: Intel Corporation Virtio 1.0 network device [8086:0000]', 'Region 0: Memory at c0000000 (64-bit, non-prefetchable)', 'Express (v2) Endpoint, MSI 00',
      'FLReset+', 'LnkSta:\tSpeed 8GT/s, Width x16', 'LnkCap2: Supported Link Speeds: 2.5-8GT/s', 'LnkCtl2: Target Link Speed: 8GT/s', 'Alternative Routing-ID Interpretation (ARI)', 'Single Root I/O Virtualization (SR-IOV)',
      'IOVCtl:\tEnable+ Migration- Interrupt- MSE+ ARIHierarchy+', 'Initial VFs: 8, Total VFs: 8, Number of VFs: 2', 'VF offset: 2, stride: 1, Device ID: 1041', 'Kernel driver in use: pci-pf-stub');
    has(VF, '[1af4:1041] (rev 01)', 'Region 0: Memory at c0004000 (64-bit, non-prefetchable) [virtual] [size=16K]', 'MSI-X: Enable- Count=3', 'VirtIO: CommonCfg', 'VirtIO: ISR', 'VirtIO: DeviceCfg',
      'VirtIO: Notify\n\t\tBAR=2 offset=00000000 size=00002000 multiplier=00001000', 'Kernel driver in use: ifcvf\n\tKernel modules: virtio_pci, ifcvf', 'IOMMU group: 3');
  });

  it('reads the same without a namespace, from a mount', async (context) => {
    const inside = await inLab(context, 'lspci -Dnnvv -xxx -s 00:01.0', 'lspci');
    const folder = join(mkdtempSync(join(tmpdir(), 'vdpalab-clients-')), 'mnt');
    mkdirSync(folder);
    const mount = host.start(['mount', '--lab', flagship, folder]);
    const end = outcome(mount);
    try {
      await said(mount, folder);
      const { stdout } = spawnSync('lspci', ['-A', 'linux-sysfs', '-O', `sysfs.path=${folder}/sys/bus/pci`, '-Dnnvv', '-xxx', '-s', '00:01.0'], { encoding: 'utf8', timeout: 20_000 });
      expect(stdout).toBe(inside);
    } finally {
      mount.kill('SIGTERM');
      await end;
      rmSync(join(folder, '..'), { recursive: true });
    }
  });

  it('shows the tree, the path to a function, and its bytes', async (context) => {
    const text = await inLab(context, `lspci -t; lspci -PP -s ${VF}; lspci -xxxx -s ${VF} | head -2; lspci -n -d 1af4:`, 'lspci');
    expect(text.split('\n')).toEqual([
      '-[0000:00]-+-00.0', '           \\-01.0-[07]--+-00.0', '                        +-00.2', '                        \\-00.3',
      '00:01.0/07:00.2 Ethernet controller: Red Hat, Inc. Virtio 1.0 network device (rev 01)',
      '07:00.2 Ethernet controller: Red Hat, Inc. Virtio 1.0 network device (rev 01)', expect.stringMatching(/^00: f4 1a 41 10 /),
      '07:00.0 0200: 1af4:1041 (rev 01)', '07:00.2 0200: 1af4:1041 (rev 01)', '07:00.3 0200: 1af4:1041 (rev 01)', '',
    ]);
  });
});

describe('udevadm', { timeout: 120_000 }, () => {
  it('finds a device by its link, with everything its uevent says', async (context) => {
    const text = await inLab(context, `udevadm info /sys/bus/pci/devices/${VF}; udevadm info -q path /sys/bus/vdpa/devices/vdpa0`, 'udevadm');
    expect(text.split('\n')).toEqual([
      `P: /devices/pci0000:00/0000:00:01.0/${VF}`, `M: ${VF}`, 'R: 2', 'U: pci', 'V: ifcvf', `E: DEVPATH=/devices/pci0000:00/0000:00:01.0/${VF}`, 'E: SUBSYSTEM=pci',
      'E: DRIVER=ifcvf', 'E: PCI_CLASS=20000', 'E: PCI_ID=1AF4:1041', 'E: PCI_SUBSYS_ID=8086:001A', `E: PCI_SLOT_NAME=${VF}`,
      'E: MODALIAS=pci:v00001AF4d00001041sv00008086sd0000001Abc02sc00i00', '', `/devices/pci0000:00/0000:00:01.0/${VF}/vdpa0`, '',
    ]);
  });

  it('walks up from a vDPA device to the root, with the attributes of all', async (context) => {
    const text = await inLab(context, 'udevadm info -a /sys/bus/vdpa/devices/vdpa0', 'udevadm');
    expect([...text.matchAll(/KERNELS?=="(.*)"\n +SUBSYSTEMS?=="(.*)"\n +DRIVERS?=="(.*)"/g)].map((m) => m.slice(1))).toEqual([
      ['vdpa0', 'vdpa', 'vhost_vdpa'], [VF, 'pci', 'ifcvf'], ['0000:00:01.0', 'pci', ''], ['pci0000:00', '', ''],
    ]);
    expect(text).toContain('ATTRS{subsystem_device}=="0x001a"');
  });
});

describe('driverctl', { timeout: 120_000 }, () => {
  it('lists devices, sets an override and takes it back', async (context) => {
    const text = await inLab(context, `
      driverctl list-devices network; driverctl --nosave set-override 0000:07:00.3 virtio-pci; echo $?
      driverctl list-overrides; cat /sys/bus/pci/devices/0000:07:00.3/driver_override
      driverctl --nosave unset-override 0000:07:00.3; echo $?; driverctl list-devices network; ls /sys/bus/virtio/devices`, 'driverctl', 'udevadm');
    const bound = (driver: string): string[] => ['0000:07:00.0 pci-pf-stub', `${VF} ifcvf`, `0000:07:00.3 ${driver}`];
    expect(text.split('\n')).toEqual([...bound('ifcvf'), '0', '0000:07:00.3 virtio-pci', 'virtio-pci', '0', ...bound('ifcvf'), '']);
  });
});

describe('a program that calls others by their paths', { timeout: 120_000 }, () => {
  it('calls the lab\'s', async (context) => {
    const text = await inLab(context, '/sbin/modprobe mdev && /sbin/lsmod | grep -c ^mdev; /usr/sbin/vdpa mgmtdev show | grep -c ^pci; /sbin/rmmod mdev; [ ! -e /sys/module/mdev ]', 'modprobe', 'vdpa');
    expect(text).toBe('1\n2\n');
  });
});

describe('programs that read all of it', { timeout: 120_000 }, () => {
  it('find, tree and ls -lR see the same names, and none that is not there', async (context) => {
    const text = await inLab(context, 'find /sys | wc -l; tree -fian --noreport /sys | wc -l; ls -1RA /sys | grep -vc -e "^$" -e ":$"; find /sys -xtype l', 'tree');
    const [found = '', listed, rest, ...dangling] = text.split('\n');
    expect(Number(found)).toBeGreaterThan(500);
    expect([listed, Number(rest)]).toEqual([found, Number(found) - 1]);
    expect(dangling).toEqual(['']);
  });

  it('lsmod says who uses whom', async (context) => {
    const text = await inLab(context, '"$(PATH=/usr/sbin:/sbin:/bin type -P lsmod)"', 'lsmod');
    expect(text.split('\n').map((line) => line.trim().replace(/ +/g, ' ')).sort()).toEqual([
      '', 'Module Size Used by', expect.stringMatching(/^ifcvf \d+ 0$/), expect.stringMatching(/^irqbypass \d+ 1 vhost_vdpa$/), expect.stringMatching(/^pci_pf_stub \d+ 0$/),
      expect.stringMatching(/^vdpa \d+ 2 /), expect.stringMatching(/^vhost \d+ 1 vhost_vdpa$/), expect.stringMatching(/^vhost_iotlb \d+ 2 /), expect.stringMatching(/^vhost_vdpa \d+ 0$/),
      expect.stringMatching(/^virtio \d+ /), expect.stringMatching(/^virtio_pci \d+ 0$/), expect.stringMatching(/^virtio_pci_legacy_dev \d+ 1 /), expect.stringMatching(/^virtio_pci_modern_dev \d+ 1 /), expect.stringMatching(/^virtio_ring \d+ /),
    ].sort((a, b) => String(a).localeCompare(String(b))) as unknown[]);
  });

  it('mdevctl finds no mediated devices where there are none', async (context) => {
    expect(await inLab(context, 'mdevctl types; mdevctl list', 'mdevctl')).toMatch(/^\n*$/);
  });
});

describe('the host\'s own tools whose calls are trapped', { timeout: 120_000 }, () => {
  it('load, show and remove as they do on a machine', async (context) => {
    needsEntry(context, 'vdpa', 'modprobe');
    const script = `
      for name in vdpa modprobe insmod rmmod lsmod; do type -P $name; done | grep -c "$VDPALAB_RUNTIME_DIR"
      modprobe -v vdpa_sim_net | sed 's,.*/,,'; vdpa dev add name s0 mgmtdev vdpasim_net; vdpa dev show s0; vdpa dev add name s0 mgmtdev vdpasim_net
      rmmod vdpa_sim; vdpa dev del s0; modprobe -r vdpa_sim_net; vdpa mgmtdev show vdpasim_net; modprobe vdpa nosuch=1; rmmod vdpa; ls -d /sys/module/vdpa_sim`;
    const { stdout, stderr } = await host.bash(script, { exec: ['--trap'] });
    expect(stdout.split('\n')).toEqual([
      '0', 'vringh.ko ', 'vdpa_sim.ko ', 'vdpa_sim_net.ko ', 's0: type network mgmtdev vdpasim_net vendor_id 0 max_vqs 3 max_vq_size 256', '',
    ]);
    expect(stderr.split('\n')).toEqual([
      'kernel answers: File exists', 'rmmod: ERROR: Module vdpa_sim is in use by: vdpa_sim_net', 'Error: vdpa: Fail to find the specified mgmt device.', 'kernel answers: No such device',
      'rmmod: ERROR: Module vdpa is in use by: vhost_vdpa ifcvf', "ls: cannot access '/sys/module/vdpa_sim': No such file or directory", '',
    ]);
  });

  it('see device files as devices, whose files they open all the same', async (context) => {
    needsEntry(context);
    const script = `
      stat -c '%F %t:%T %a %u' /dev/vhost-vdpa-0; ls -l /dev/vhost-vdpa-0 | cut -c1-10,21-39; cd /dev && test -c vhost-vdpa-0 && test ! -f ./vhost-vdpa-0 && test -f /etc/passwd && test -c null && exec 5<>vhost-vdpa-0 && echo open`;
    const plain = await host.bash('stat -c %F /dev/vhost-vdpa-0');
    expect(plain.stdout).toBe('regular empty file\n');
    const { stdout, stderr } = await host.bash(script, { exec: ['--trap-only', 'devices'] });
    expect(stderr).toBe('');
    expect(stdout).toMatch(/^character special file f6:0 600 0\ncrw-------.*246, *0.*\nopen\n$/);
  });

  it('are not begun where koffi is missing', async (context) => {
    needsEntry(context, 'unshare');
    const koffi = dirname(createRequire(import.meta.url).resolve('koffi'));
    const { stdout, stderr, status } = await host.run(['exec', '--trap', '--', 'echo', 'begun'], { prefix: ['unshare', '-m', 'sh', '-c', `mount -n -t tmpfs none '${koffi}' && exec "$@"`, 'sh'] });
    expect({ stdout, stderr, status }).toEqual({ stdout: '', stderr: 'vdpalab: --trap: system calls of the host need the optional package koffi: npm install koffi\n', status: 2 });
  });
});
