/** Refusals that nothing else meets: each by the command or the call that meets it, with its rule. */
import { isKernelError } from '@vdpalab/abi';
import { createLab, type Lab, type LabConfigInput } from '@vdpalab/lab';
import { Player } from '@vdpalab/shell';
import { O_CREAT, O_RDONLY, O_WRONLY } from '@vdpalab/uapi';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const config: LabConfigInput = {
  memory: '64M',
  pci: { root_ports: [{ at: '00:01.0', bus: 7 }], functions: [{ at: '07:00.0', model: 'n3000', link: 'sw0', sriov: { total: 2 } }] },
  networks: [{ name: 'sw0' }],
};

const PF = '/sys/bus/pci/devices/0000:07:00.0';

let lab: Lab;
let player: Player;

beforeAll(async () => {
  lab = await createLab({ config });
  player = await Player.open(lab);
  for (const command of ['modprobe vdpa_sim_net', 'modprobe virtio_vdpa', 'modprobe virtio_net', 'vdpa dev add name v mgmtdev vdpasim_net',
    'modprobe n3000_pf', `echo n3000_pf > ${PF}/driver_override`, 'echo 0000:07:00.0 > /sys/bus/pci/drivers_probe', `echo 2 > ${PF}/sriov_numvfs`,
    `ip link set $(ls ${PF}/net) name pf0`]) {
    const { out } = await player.play(command);
    if (out.at(-1) !== 'exit: 0') throw new Error(`${command}: ${out.join('\n')}`);
  }
});

afterAll(async () => {
  await player.close();
  await lab.close();
});

describe('a command is refused', () => {
  test.each([
    ['echo x > /sys/bus/pci/rescan', 'pci.rescan.number'],
    ['mknod /proc/x c 1 3', 'fs.mknod.proc'],
    ['mknod /tmp/n/ c 1 3', 'fs.mknod.slash'],
    ['ln -s a /proc/x', 'fs.symlink.proc'],
    ['cat /sys/class/net/eth0/phys_port_id', 'netdev.sysfs.port'],
    ['echo 1 > /sys/class/net/eth0/napi_defer_hard_irqs', 'netdev.sysfs.napi'],
    [`echo ${'x'.repeat(256)} > /sys/class/net/eth0/ifalias`, 'netdev.alias.length'],
    ['cat /sys/class/net/eth0/queues/tx-0/traffic_class', 'netdev.sysfs.one-queue'],
    ['ip link set pf0 vf 9 mac 52:54:00:00:00:01', 'n3000_pf.vf.number'],
    ['ip link set pf0 vf 0 mac 01:54:00:00:00:01', 'n3000_pf.vf.mac'],
  ])('%s: %s', async (command, rule) => {
    await player.play(command);
    expect(lab.refusals.commands.at(-1)?.refusals.map((refusal) => refusal.error.rule)).toContain(rule);
  });
});

describe('a call is refused', () => {
  const calls: readonly (readonly [string, string, (lab: Lab) => Promise<unknown>])[] = [
    ['a major of block devices above 511', 'fs.blkdev.major', (l) => l.kernel(async () => l.symbol('register_blkdev')(512, 'x'))],
    ['a domain for a device behind no IOMMU', 'iommu.domain.no-group', (l) => l.kernel(async () => {
      const dev = l.symbol('device_initialize')({ name: 'loose' });
      try {
        l.symbol('iommu_domain_alloc')(dev);
      } finally {
        l.symbol('put_device')(dev);
      }
    })],
    ['fsync of what has no storage', 'fs.fsync.no-op', (l) => l.user(async (p) => {
      const fd = await p.open('/proc/modules', O_RDONLY);
      await l.symbol('ksys_fsync')(p.proc, fd);
    })],
    ['virtual functions switched on twice', 'pci.sriov.enabled', (l) => l.kernel(async () => {
      const pf = l.symbol('pci_devices')().find((p) => p.dev.name === '0000:07:00.0');
      if (pf !== undefined) await l.symbol('pci_sriov_configure_simple')(pf, 1);
    })],
    ['a mode changed by another user', 'fs.chmod.owner', (l) => l.user((p) => l.symbol('ksys_chmod')(p.proc, '/etc', 0o700), { uid: 1000 })],
    ['a mode of procfs', 'fs.chmod.proc', (l) => l.user((p) => l.symbol('ksys_chmod')(p.proc, '/proc/modules', 0o600))],
    ['a file given away', 'fs.chown.cap', (l) => l.user((p) => l.symbol('ksys_chown')(p.proc, '/etc', 1, -1, true), { uid: 0, caps: [] })],
    ['a file\'s group changed by another user', 'fs.chown.owner', (l) => l.user((p) => l.symbol('ksys_chown')(p.proc, '/etc', -1, 1, true), { uid: 1000 })],
    ['a time set by another user', 'fs.utimes.owner', (l) => l.user((p) => l.symbol('ksys_utimes')(p.proc, '/etc', 5, true), { uid: 1000 })],
    ['a taint written without CAP_SYS_ADMIN', 'fs.proc.tainted', (l) => l.user(async (p) => {
      const fd = await p.open('/proc/sys/kernel/tainted', O_WRONLY);
      p.proc.cred.caps.clear();
      await p.write(fd, '1');
    })],
    ['a module file of a package that is left out', 'module.load.package', async (l) => {
      const path = l.builtModules.find((m) => m.info.name === 'ifcvf')?.info.path ?? '';
      const bytes = await l.user((p) => p.readFileBytes(`/lib/modules/${l.config.release}/${path}`));
      const other = await createLab({ config: { memory: '32M', modules: { without: ['ifcvf'] } } });
      try {
        await other.user(async (p) => {
          const fd = await p.open('/tmp/ifcvf.ko', O_WRONLY | O_CREAT);
          await p.write(fd, bytes);
          await p.close(fd);
          await other.symbol('init_module')({ path: '/tmp/ifcvf.ko' }, '', 0);
        });
      } finally {
        await other.close();
      }
    }],
    ['all dynamic majors of block devices', 'fs.blkdev.majors', (l) => l.kernel(async () => {
      const taken: number[] = [];
      try {
        for (;;) taken.push(l.symbol('register_blkdev')(0, 'many'));
      } finally {
        for (const major of taken) l.symbol('unregister_blkdev')(major);
      }
    })],
    ['a family more than there are numbers', 'genl.register.id', (l) => l.kernel(async () => {
      const families = Array.from({ length: 1100 }, (_, i) => ({ name: `f${i}`, version: 1, maxattr: 0, policy: {}, netnsok: true, ops: [], module: null }));
      const registered: typeof families = [];
      try {
        for (const family of families) {
          l.symbol('genl_register_family')(family);
          registered.push(family);
        }
      } finally {
        for (const family of registered) l.symbol('genl_unregister_family')(family);
      }
    })],
  ];
  test.each(calls)('%s: %s', async (_what, rule, call) => {
    await expect(call(lab)).rejects.toSatisfy((error: unknown) => isKernelError(error) && error.rule === rule);
  });
});
