import { covers, errnoOf } from '@vdpalab/testing';
import * as uapi from '@vdpalab/uapi';
import { describe, expect, it } from 'vitest';
import { BDF, bootMlx5, FIRST_PORT, PF, SF, slowChild } from './testing/bench.ts';
import type { Bench } from './testing/bench.ts';

const { DEVLINK_PORT_FN_STATE_ACTIVE: ACTIVE, DEVLINK_PORT_FN_STATE_INACTIVE: INACTIVE } = uapi;
const [ALLOCATED, IN_USE] = [uapi.MLX5_VHCA_STATE_ALLOCATED, uapi.MLX5_VHCA_STATE_IN_USE];
const CHILDREN = ['mlx5_core.eth.1', 'mlx5_core.rdma.1', 'mlx5_core.vnet.1'];

/** In switchdev mode, with one subfunction that is driven. */
async function driven(): Promise<Bench> {
  const b = await bootMlx5();
  await b.switchdev();
  await b.subfunction(88);
  return b;
}

const read = (b: Bench, path: string): Promise<string> => b.user(async (proc) => {
  const fd = await b.k.ksys_open(proc, path, 0);
  try {
    return uapi.utf8Decode(await b.k.ksys_read(proc, fd, 4096));
  } finally {
    await b.k.ksys_close(proc, fd);
  }
});

describe('a port of a subfunction', () => {
  it('is refused for what Linux refuses it for, in Linux\'s order', async () => {
    covers('2.10.1', '2.10.2');
    const b = await bootMlx5({ subfunctions: 2 });
    const legacy = 'EOPNOTSUPP: mlx5_core: Port add is only supported in eswitch switchdev mode or SF ports are disabled.';
    expect(await b.portAdd(1)).toBe(legacy);
    const add = (fill: (n: uapi.NlaBuilder) => void): Promise<string> => b.devlink(PF, (tool) => tool.result(uapi.DEVLINK_CMD_PORT_NEW, fill));
    const wrong: readonly (readonly [((n: uapi.NlaBuilder) => void), string])[] = [
      [(n) => n.putU16(uapi.DEVLINK_ATTR_PORT_PCI_PF_NUMBER, 1), 'Invalid pfnum supplied'],
      [(n) => n.putU32(uapi.DEVLINK_ATTR_PORT_CONTROLLER_NUMBER, 1), 'External controller is unsupported'],
      [() => undefined, 'User must provide unique sfnum. Driver does not support auto assignment'],
      [(n) => n.putU32(uapi.DEVLINK_ATTR_PORT_INDEX, 7), 'Driver does not support user defined port index assignment'],
    ];
    // Each with all that is checked later wrong, too: not in switchdev mode, and the ones before.
    for (const [n, [, message]] of wrong.entries()) {
      const result = await add((nla) => {
        nla.putU16(uapi.DEVLINK_ATTR_PORT_FLAVOUR, uapi.DEVLINK_PORT_FLAVOUR_PCI_SF);
        for (const [fill] of wrong.slice(0, n + 1)) fill(nla);
        if (n < 2) nla.putU32(uapi.DEVLINK_ATTR_PORT_PCI_SF_NUMBER, 1);
      });
      expect(result).toBe(`EOPNOTSUPP: mlx5_core: ${message}`);
    }
    expect(await add((nla) => {
      nla.putU16(uapi.DEVLINK_ATTR_PORT_FLAVOUR, uapi.DEVLINK_PORT_FLAVOUR_PCI_VF);
      nla.putU16(uapi.DEVLINK_ATTR_PORT_PCI_PF_NUMBER, 1);
    })).toBe('EOPNOTSUPP: mlx5_core: Driver supports only SF port addition');
    await b.switchdev();
    expect([await b.portAdd(1), await b.portAdd(1), await b.portAdd(2), await b.portAdd(1), await b.portAdd(3)]).toEqual([
      FIRST_PORT, 'EEXIST: mlx5_core: SF already exist. Choose different sfnum', FIRST_PORT + 1, 'EEXIST: mlx5_core: SF already exist. Choose different sfnum', 'ENOSPC',
    ]);
    expect([await b.portDel(FIRST_PORT), await b.portAdd(3)]).toEqual(['ok', FIRST_PORT]);
    expect([await b.portDel(0xffff), await b.portState(0xffff, ACTIVE)]).toEqual(['ENODEV', expect.stringMatching(/^E/)]);
  });

  it('is none on a device without subfunctions', async () => {
    covers('2.10.2');
    const b = await bootMlx5({ without: ['sf'] });
    await b.switchdev();
    expect(await b.portAdd(1)).toMatch(/^EOPNOTSUPP: .*SF ports are disabled\.$/);
    expect((await b.devlink(PF, (tool) => tool.ports())).map(({ index, flavour }) => [index, flavour])).toEqual([[0xffff, uapi.DEVLINK_PORT_FLAVOUR_PHYSICAL]]);
  });

  it('has the address that was set, before or after it was activated; never one of a group', async () => {
    covers('2.10.3');
    const b = await bootMlx5();
    await b.switchdev();
    const index = await b.portAdd(88) as number;
    const set = (port: number, ...hw_addr: number[]): Promise<string> => b.devlink(PF, (tool) => tool.setFunction(port, { hw_addr: Uint8Array.from(hw_addr) }));
    expect((await b.port(index)).hw_addr).toBe('00:00:00:00:00:00');
    expect([await set(index, 0, 0, 0, 0, 0x88, 1), (await b.port(index)).hw_addr]).toEqual(['ok', '00:00:00:00:88:01']);
    await b.portState(index, ACTIVE);
    const own = async (): Promise<number[]> => [...await b.run(() => b.k.mlx5_query_nic_vport_mac_address(b.dev('mlx5_core.sf.1'), 0))];
    expect(await own()).toEqual([0, 0, 0, 0, 0x88, 1]);
    expect([await set(index, 0, 0, 0, 0, 0x88, 2), await own()]).toEqual(['ok', [0, 0, 0, 0, 0x88, 2]]);
    expect([await set(index, 1, 0, 0, 0, 0, 1), (await b.port(index)).hw_addr]).toEqual(['EINVAL', '00:00:00:00:88:02']);
    expect([await set(0xffff, 0, 0, 0, 0, 0, 1), (await b.port(0xffff)).hw_addr]).toEqual(['EOPNOTSUPP: mlx5_core: Port doesn\'t support set hw_addr', null]);
  });
});

describe('a subfunction', () => {
  it('is an auxiliary device with its sfnum, a devlink instance and children, and no PCI function', async () => {
    covers('1.1.8', '2.10.5');
    const b = await driven();
    expect(b.auxiliary(1)).toEqual(['mlx5_core.sf.1', ...CHILDREN]);
    expect(await read(b, '/sys/bus/auxiliary/devices/mlx5_core.sf.1/sfnum')).toBe('88\n');
    expect(await b.devlink(SF, (tool) => tool.dump(uapi.DEVLINK_CMD_GET))).toHaveLength(1);
    expect(b.k.pci_devices().map((pdev) => pdev.dev.name)).toEqual(['0000:00:00.0', '0000:00:01.0', BDF]);
    const sf = b.dev('mlx5_core.sf.1');
    expect([sf.coredev_type, sf.pdev.dev.name, sf.bar, sf.bar_offset, sf.vhca_id, sf.device.parent?.name]).toEqual(['MLX5_COREDEV_SF', BDF, 2, 0, 1, BDF]);
    expect(b.k.bus_devices(b.k.find_bus('auxiliary')!).find(({ name }) => name === 'mlx5_core.vnet.1')?.parent?.name).toBe('mlx5_core.sf.1');
    expect(b.actions().slice(2)).toEqual([`mlx5_sf_ctrl2@pci:${BDF}`, `mlx5_sf_comp8@pci:${BDF}`]);
    expect(b.states()).toEqual([IN_USE, 0, 0, 0]);
  });

  it('has the window of its function, and objects apart from another\'s; it manages no switch', async () => {
    const b = await driven();
    await b.subfunction(7);
    const [one, two] = [b.dev('mlx5_core.sf.1'), b.dev('mlx5_core.sf.2')];
    expect([two.bar_addr - one.bar_addr, one.vhca_id, two.vhca_id]).toEqual([0x1_0000, 1, 2]);
    const alloc = async (dev: typeof one): Promise<number> => await b.run(() => b.k.mlx5_core_alloc_pd(dev));
    expect(await alloc(one)).toBe(await alloc(two));
    const refused = await b.devlink(SF, async (tool) => [await tool.setEswitchMode(1), await tool.addSf(0, 5), await tool.delPort(1)]);
    expect(refused.map((result) => String(result).split(':')[0])).toEqual(['EOPNOTSUPP', 'EOPNOTSUPP', 'EOPNOTSUPP']);
    expect(await b.run(() => errnoOf(() => b.k.mlx5_mpfs_add_mac(one, Uint8Array.of(0, 0, 0, 0, 0, 9))))).toBe('ok'); // as in Linux: nothing to do
  });

  it('has the children its parameters say, from the next reload on', async () => {
    covers('2.10.6');
    const b = await driven();
    const set = (name: string, on: boolean): Promise<string> => b.devlink(SF, (tool) => tool.setFlag(name, on));
    const reload = (): Promise<string> => b.devlink(SF, (tool) => tool.reload());
    expect([await set('enable_vnet', false), b.auxiliary(1).slice(1)]).toEqual(['ok', CHILDREN]);
    expect([await reload(), b.auxiliary(1).slice(1)]).toEqual(['ok', CHILDREN.slice(0, 2)]);
    for (const [name, on] of [['enable_vnet', true], ['enable_eth', false], ['enable_rdma', false]] as const) await set(name, on);
    expect([await reload(), b.auxiliary(1).slice(1), b.states()[0]]).toEqual(['ok', ['mlx5_core.vnet.1'], IN_USE]);
    expect([await b.portDel(FIRST_PORT), b.auxiliary(1), b.states()[0]]).toEqual(['ok', [], 0]);
  });
});

describe('states, as the device tells of them', () => {
  it('go from allocated over active to in use, and back when the driver has let go', async () => {
    covers('2.10.4');
    const b = await bootMlx5();
    await b.switchdev();
    const port = await b.portAdd(1) as number;
    const now = async (): Promise<unknown> => {
      const { state, opstate } = await b.port(port);
      return [b.states()[0], state, opstate];
    };
    expect(await now()).toEqual([ALLOCATED, 0, 0]);
    await b.portState(port, ACTIVE);
    expect(await now()).toEqual([IN_USE, 1, 1]);
    const sf = b.k.bus_devices(b.k.find_bus('auxiliary')!).find(({ name }) => name === 'mlx5_core.sf.1')!;
    await b.run(() => b.k.device_release_driver(sf));
    expect(await now()).toEqual([uapi.MLX5_VHCA_STATE_ACTIVE, 1, 0]);
    await b.run(async () => void await b.k.device_attach(sf));
    expect(await now()).toEqual([IN_USE, 1, 1]);
    expect([await b.portState(port, ACTIVE), await b.portState(port, INACTIVE), await b.portState(port, INACTIVE)]).toEqual(['ok', 'ok', 'ok']);
    expect([await now(), b.auxiliary(1)]).toEqual([[ALLOCATED, 0, 0], []]);
    await b.portDel(port);
    expect(b.states()[0]).toBe(uapi.MLX5_VHCA_STATE_INVALID);
  });

  it('are attached as long as a child\'s driver does not let go, and activating is EBUSY until then', async () => {
    covers('2.10.4');
    const b = await bootMlx5();
    const slow = await slowChild(b);
    await b.switchdev();
    await b.subfunction(5);
    expect(await b.portState(FIRST_PORT, INACTIVE)).toBe('ok'); // comes back: who waits is the worker
    expect([b.states()[0], await b.port(FIRST_PORT)]).toEqual([uapi.MLX5_VHCA_STATE_TEARDOWN_REQUEST, { hw_addr: '00:00:00:00:00:00', state: 0, opstate: 1 }]);
    expect(await b.portState(FIRST_PORT, ACTIVE)).toBe('EBUSY: mlx5_core: SF is inactivated but it is still attached');
    expect([await b.portDel(FIRST_PORT), await b.portAdd(5), await b.portAdd(6)]).toEqual(['ok', 'EEXIST: mlx5_core: SF already exist. Choose different sfnum', FIRST_PORT + 1]);
    await slow.letGo();
    expect([b.states(), await b.portAdd(5)]).toEqual([[0, ALLOCATED, 0, 0], FIRST_PORT]);
    await slow.unregister();
    await b.run(() => b.rmmod('mlx5_core'));
    expect([b.states(), b.leftovers()]).toEqual([[0, 0, 0, 0], []]);
  });
});
