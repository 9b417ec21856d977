import { foldError, KernelError } from '@vdpalab/abi';
import { describe, expect, test } from 'vitest';
import { relevant } from './command.ts';
import { explainError, explanationLines, ruleLines } from './explain.ts';
import { exactRemedy, remedies } from './remedies/index.ts';
import { removalOrder } from './remedies/modules.ts';
import { listed, nearest } from './remedies/near.ts';
import { findRule } from './table.ts';
import { toolLines, toolRules, toolsSaid } from './tools-said.ts';
import type { LabView } from './view.ts';

/** A lab of a few modules. */
const view: LabView = {
  modules: () => [
    { name: 'vhost_vdpa', refcnt: 1, holders: [] }, { name: 'ifcvf', refcnt: 0, holders: [] },
    { name: 'vdpa', refcnt: 2, holders: ['vhost_vdpa', 'ifcvf'] }, { name: 'vhost', refcnt: 1, holders: ['vhost_vdpa'] },
  ],
  tree: () => ['vdpa', 'vhost', 'vhost_vdpa', 'vhost_iotlb', 'ifcvf'],
  exporterOf: (symbol) => (symbol === 'vhost_iotlb_alloc' ? 'vhost_iotlb' : null),
  devices: (bus) => [
    { name: '0000:07:00.2', bus: 'pci', driver: 'ifcvf' }, { name: '0000:07:00.3', bus: 'pci', driver: null }, { name: 'vdpa0', bus: 'vdpa', driver: 'vhost_vdpa' },
  ].filter((d) => bus === undefined || d.bus === bus),
  drivers: (bus) => (bus === 'vdpa' ? ['vhost_vdpa', 'virtio_vdpa'] : ['ifcvf', 'pci-pf-stub']),
  managers: () => ['pci/0000:07:00.2', 'pci/0000:07:00.3'],
  openers: (path) => ('/dev/vhost-vdpa-0'.startsWith(path) ? [{ pid: 7, comm: 'qemu', path: '/dev/vhost-vdpa-0' }] : []),
  entries: async (path) => (path === '/dev' ? ['null', 'zero'] : null),
  text: async (path) => (path.endsWith('sriov_totalvfs') ? '8' : null),
  interfaces: () => ['eth0'],
};

describe('a folded refusal', () => {
  test('shows the inner reason, and what would have mended that', async () => {
    const inner = new KernelError('EEXIST', 'vhost_vdpa.iotlb.overlap', '0x1000+0x1000 overlaps a mapping');
    const outer = foldError('EFAULT', 'vhost.iotlb.refused', '0x1000+0x1000 overlaps a mapping (EEXIST)', inner);
    expect(explanationLines('qemu: write', await explainError(outer, view))).toEqual([
      'qemu: write: EFAULT',
      '  rule      vhost.iotlb.refused: Whatever is wrong with an IOTLB message, the write is refused with EFAULT.',
      '  compared  0x1000+0x1000 overlaps a mapping (EEXIST)',
      '  because   EEXIST',
      '  rule      vhost_vdpa.iotlb.overlap: The range overlaps one that is mapped.',
      '  compared  0x1000+0x1000 overlaps a mapping',
      '  instead   Invalidate that one first.',
      '  Linux     drivers/vhost/vdpa.c vhost_vdpa_process_iotlb_update',
    ]);
  });

  test('of a rule without an entry still says what was compared', async () => {
    const error = new KernelError('EIO', 'a.rule.of-tomorrow', 'one: two');
    expect(explanationLines('x', await explainError(error, null))).toEqual(['x: EIO', '  rule      a.rule.of-tomorrow: The rule has no entry yet.', '  compared  one: two']);
  });
});

describe('what would have worked', () => {
  test.each([
    ['module.unload.users', 'EAGAIN', 'vdpa: used by vhost_vdpa, ifcvf', 'rmmod vhost_vdpa ifcvf vdpa'],
    ['module.unload.name', 'ENOENT', 'vhost_vdp: not loaded', 'rmmod vhost_vdpa'],
    ['module.unload.name', 'ENOENT', 'zzzzzzz: not loaded', 'name one of the loaded modules: vhost_vdpa, ifcvf, vdpa, vhost'],
    ['module.unload.refs', 'EAGAIN', 'vhost_vdpa: 1 references are held', 'close /dev/vhost-vdpa-0, which qemu[7] has open ; echo vdpa0 > /sys/bus/vdpa/drivers/vhost_vdpa/unbind ; rmmod vhost_vdpa'],
    ['module.load.symbols', 'ENOENT', 'vhost: 1 of 2 symbols cannot be linked: vhost_iotlb_alloc (ENOENT)', 'modprobe vhost, which loads vhost_iotlb first'],
    ['module.load.symbols', 'ENOENT', 'x: 1 of 2 symbols cannot be linked: nosuch (ENOENT)', 'nothing in the tree exports nosuch: add the module that does'],
    ['module.load.name', 'EEXIST', 'vdpa: the name is live', 'nothing: vdpa is loaded; to load it anew, rmmod it first'],
    ['driver.probe.bound', 'EBUSY', 'vdpa0: bound to vhost_vdpa', 'echo vdpa0 > /sys/bus/vdpa/drivers/vhost_vdpa/unbind'],
    ['driver.bind.device', 'ENODEV', 'driver virtio_vdpa: no device "vdpa1"', 'write vdpa0'],
    ['driver.unbind.device', 'ENODEV', 'driver ifcvf: not its device', 'write one of 0000:07:00.2'],
    ['driver.unbind.device', 'ENODEV', 'driver virtio_vdpa: not its device', 'nothing: virtio_vdpa has no device'],
    ['bus.drivers_probe.device', 'ENODEV', 'bus vdpa: no device "foo\n"', 'write one of vdpa0'],
    ['pci.numvfs.enabled', 'EBUSY', '0000:07:00.0: 2 VFs are enabled, 4 were asked for', 'echo 0 > /sys/bus/pci/devices/0000:07:00.0/sriov_numvfs ; echo 4 > /sys/bus/pci/devices/0000:07:00.0/sriov_numvfs'],
    ['pci.numvfs.total', 'ERANGE', '0000:07:00.0: 9 VFs, the function has 8', 'echo 8 > /sys/bus/pci/devices/0000:07:00.0/sriov_numvfs, the most there are'],
    ['pci.numvfs.callback', 'ENOENT', '0000:07:00.2: ifcvf has no sriov_configure', 'echo 0000:07:00.2 > /sys/bus/pci/drivers/ifcvf/unbind ; modprobe pci_pf_stub ; echo pci-pf-stub > /sys/bus/pci/devices/0000:07:00.2/driver_override ; echo 0000:07:00.2 > /sys/bus/pci/drivers_probe'],
    ['vdpa.netlink.mgmtdev', 'ENODEV', 'nosuch: no', 'take one of pci/0000:07:00.2, pci/0000:07:00.3'],
    ['ifcvf.add.one', 'EOPNOTSUPP', 'b: 0000:07:00.2 has vdpa0 already', 'vdpa dev del vdpa0, or take pci/0000:07:00.3'],
    ['vhost_vdpa.open.busy', 'EBUSY', '/dev/vhost-vdpa-0: open already', 'let qemu[7] close /dev/vhost-vdpa-0'],
    ['fs.open.missing', 'ENOENT', '/dev/vhost-vdpa-3: /dev has no vhost-vdpa-3', 'modprobe vhost_vdpa, and bind a vDPA device to it: a node comes with each'],
    ['fs.path.missing', 'ENOENT', '/dev/nul: /dev has no nul', 'take /dev/null'],
    ['netdev.name.up', 'EBUSY', 'eth0 is up', 'ip link set eth0 down'],
    ['packet.send.down', 'ENETDOWN', 'eth0 is down', 'ip link set eth0 up'],
    ['rtnetlink.link.absent', 'ENODEV', 'no interface eth9', 'name one of eth0'],
    ['vdpa.register.name', 'EEXIST', 'vdpa0: already on the vdpa bus', 'vdpa dev del vdpa0, or take another name'],
  ] as const)('%s: %s %j -> %s', async (rule, errno, text, remedy) => {
    expect(await exactRemedy(new KernelError(errno, rule, text), view)).toBe(remedy);
  });

  test('is computed for rules of the table only', () => {
    expect(Object.keys(remedies).filter((id) => findRule(id) === null)).toEqual([]);
  });

  test('is an order in which each module goes after its users', () => {
    expect(removalOrder('a', [{ name: 'a', refcnt: 2, holders: ['b', 'c'] }, { name: 'b', refcnt: 1, holders: ['c'] }, { name: 'c', refcnt: 0, holders: [] }])).toEqual(['c', 'b', 'a']);
  });
});

describe('a name that was meant', () => {
  test('is the one with the fewest edits, if they are few', () => {
    expect(nearest('vdap', ['vdpa', 'vhost'])).toBe('vdpa');
    expect(nearest('entirely-else', ['vdpa', 'vhost'])).toBe(null);
    expect(listed(['a', 'b'], 'none')).toBe('a, b');
    expect(listed([], 'none')).toBe('none');
    expect(listed('abcdefghij'.split(''), '')).toBe('a, b, c, d, e, f, g, h and 2 more');
  });
});

describe('what a tool refuses by itself', () => {
  test.each(toolRules.map((rule) => [rule.id, rule] as const))('%s is told by its message', (_id, rule) => {
    const [said, ...more] = toolsSaid(`something else\n${rule.example}\n`);
    expect(more).toEqual([]);
    expect(said?.rule).toBe(rule);
    expect(toolLines(said as NonNullable<typeof said>, view).join('\n')).toContain(rule.id);
  });

  test('gets the remedy of the lab as it is', () => {
    const exact = (line: string): string | undefined => toolsSaid(line).flatMap((said) => toolLines(said, view)).find((l) => l.startsWith('  instead'))?.slice(12);
    expect(exact('rmmod: ERROR: Module vdpa is in use by: vhost_vdpa ifcvf')).toBe('rmmod vhost_vdpa ifcvf vdpa');
    expect(exact('rmmod: ERROR: Module vhost_vdpa is in use')).toMatch(/^close \/dev\/vhost-vdpa-0, which qemu\[7\] has open ; echo vdpa0 > /);
    expect(exact('insmod: ERROR: could not load module vdpa: No such file or directory')).toBe('modprobe vdpa');
  });

  test('has ids of its own, each once', () => {
    const ids = toolRules.map((rule) => rule.id);
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids.filter((id) => findRule(id) !== null)).toEqual([]);
  });
});

test('what a program only tried is left out, and repetitions too', () => {
  const refusal = (call: string, rule: string) => ({ call, error: new KernelError('ENOENT', rule, 'x'), pid: 1, comm: 'c', at: 0 });
  const [tried, told, probe, again] = [refusal('open', 'a.b'), refusal('open', 'a.c'), refusal('probe', 'a.d'), refusal('probe', 'a.d')];
  expect(relevant([tried, told, probe, again], (error) => error === told.error)).toEqual([told, probe]);
});

test('an entry of the table is printed with its source', () => {
  expect(ruleLines('module.unload.users')).toEqual([
    'module.unload.users', '  says      A module that others use stays.',
    '  instead   Unload its users first: `modprobe -r` on the last of them takes the rest along.', '  Linux     kernel/module/main.c delete_module',
  ]);
  expect(ruleLines('module.load.foreign')?.at(-1)).toBe('  Linux     has none: a rule of the lab');
  expect(ruleLines('no.such.rule')).toBe(null);
});
