import { covers, errnoOf } from '@vdpalab/testing';
import * as uapi from '@vdpalab/uapi';
import { describe, expect, it } from 'vitest';
import { BDF, bootMlx5, FIRST_PORT } from './testing/bench.ts';
import type { Bench } from './testing/bench.ts';

const { DEVLINK_PORT_FN_STATE_ACTIVE: ACTIVE, DEVLINK_PORT_FN_STATE_INACTIVE: INACTIVE } = uapi;
const SF = 'mlx5_core.sf.1';

/** In switchdev mode, with one subfunction that is driven. */
async function driven(): Promise<Bench> {
  const b = await bootMlx5();
  await b.switchdev();
  await b.subfunction(88);
  return b;
}

const states = (b: Bench): number[] => b.fn.subfunctions.slots.map(({ state }) => state);
const read = (b: Bench, path: string): Promise<string> => b.user(async (proc) => {
  const { k } = b;
  const fd = await k.ksys_open(proc as never, path, 0);
  try {
    return uapi.utf8Decode(await k.ksys_read(proc as never, fd, 4096));
  } finally {
    await k.ksys_close(proc as never, fd);
  }
});

describe('a subfunction', () => {
  it('is an auxiliary device with its sfnum, a devlink instance and children, and no PCI function', async () => {
    covers('1.1.8', '2.10.5');
    const b = await driven();
    expect(b.auxiliary().filter((name) => name.endsWith('.1'))).toEqual([SF, 'mlx5_core.eth.1', 'mlx5_core.rdma.1', 'mlx5_core.vnet.1']);
    expect(await read(b, `/sys/bus/auxiliary/devices/${SF}/sfnum`)).toBe('88\n');
    expect([...b.devlinks.keys()]).toEqual([BDF, SF]);
    expect(b.k.pci_devices().map((pdev) => pdev.dev.name)).toEqual(['0000:00:00.0', '0000:00:01.0', BDF]);
    const sf = b.dev(SF);
    expect([sf.coredev_type, sf.pdev.dev.name, sf.bar, sf.bar_offset, sf.vhca_id, sf.device.parent?.name]).toEqual(['MLX5_COREDEV_SF', BDF, 2, 0, 1, BDF]);
    expect(b.k.bus_devices(b.k.find_bus('auxiliary')!).find(({ name }) => name === 'mlx5_core.vnet.1')?.parent?.name).toBe(SF);
    expect(b.actions().slice(2)).toEqual([`mlx5_sf_ctrl2@pci:${BDF}`, `mlx5_sf_comp8@pci:${BDF}`]);
    expect(states(b)).toEqual([uapi.MLX5_VHCA_STATE_IN_USE, 0, 0, 0]);
  });

  it('has the window of its function: another one is apart', async () => {
    const b = await driven();
    expect(await b.subfunction(7)).toBe('mlx5_core.sf.2');
    const [one, two] = [b.dev(SF), b.dev('mlx5_core.sf.2')];
    expect(two.bar_addr - one.bar_addr).toBe(0x1_0000);
    expect([one.vhca_id, two.vhca_id]).toEqual([1, 2]);
    const alloc = (dev: typeof one): Promise<Uint8Array> => b.run(() => dev.cmd.exec(uapi.mlx5_cmd_in.make({ opcode: uapi.MLX5_CMD_OP_ALLOC_PD }), 16));
    expect(uapi.mlx5_cmd_out.get(await alloc(one), 'number')).toBe(uapi.mlx5_cmd_out.get(await alloc(two), 'number'));
    expect(await b.op(SF, (ops, devlink) => errnoOf(() => ops.eswitch_mode_get!(devlink)))).toBe('EOPNOTSUPP');
    expect(await b.op(SF, (ops, devlink) => errnoOf(() => ops.port_del!(devlink, 1)))).toBe('EOPNOTSUPP');
  });

  it('has the address that was set, before or after it was activated; never one of a group', async () => {
    covers('2.10.3');
    const b = await bootMlx5();
    await b.switchdev();
    const port = await b.portAdd(88);
    const dl = { devlink: b.devlinks.get(BDF)!, index: port, attrs: { flavour: uapi.DEVLINK_PORT_FLAVOUR_PHYSICAL, phys: { port_number: 0 } }, priv: port } as const;
    const get = (): Promise<Uint8Array> => b.op(BDF, (ops) => ops.port_function_hw_addr_get!(dl));
    const set = (mac: Uint8Array): Promise<string> => b.op(BDF, (ops) => errnoOf(() => ops.port_function_hw_addr_set!(dl, mac)));
    const mac = (last: number): Uint8Array => Uint8Array.of(0, 0, 0, 0, 0x88, last);
    expect([...await get()]).toEqual([0, 0, 0, 0, 0, 0]);
    expect([await set(mac(1)), [...await get()]]).toEqual(['ok', [...mac(1)]]);
    await b.portState(port, ACTIVE);
    const own = async (): Promise<number[]> => [...await b.run(() => b.k.mlx5_query_nic_vport_mac_address(b.dev(SF), 0))];
    expect(await own()).toEqual([...mac(1)]);
    expect([await set(mac(2)), await own(), [...await get()]]).toEqual(['ok', [...mac(2)], [...mac(2)]]);
    expect([await set(Uint8Array.of(1, 0, 0, 0, 0, 1)), [...await get()]]).toEqual(['EINVAL', [...mac(2)]]);
    const uplink = { ...dl, index: 0xffff, priv: null };
    expect(await b.op(BDF, (ops) => errnoOf(() => ops.port_function_hw_addr_get!(uplink)))).toBe('EOPNOTSUPP');
    await expect(b.op(BDF, (ops) => ops.port_function_hw_addr_set!(uplink, mac(3)))).rejects.toMatchObject({ extack: 'mlx5_core: Port doesn\'t support set hw_addr' });
  });

  it('has the children its parameters say, from the next reload on', async () => {
    covers('2.10.6');
    const b = await driven();
    const children = (): string[] => b.auxiliary().filter((name) => /^mlx5_core\.(eth|rdma|vnet)\.1$/.test(name));
    const set = (name: string, value: boolean): Promise<void> => b.op(SF, (_, devlink) => b.k.devlink_param_driverinit_value_set(devlink, name, value));
    await set('enable_vnet', false);
    expect(children()).toContain('mlx5_core.vnet.1');
    await b.reload(SF);
    expect(children()).toEqual(['mlx5_core.eth.1', 'mlx5_core.rdma.1']);
    await set('enable_vnet', true);
    await set('enable_eth', false);
    await set('enable_rdma', false);
    await b.reload(SF);
    expect([children(), states(b)[0]]).toEqual([['mlx5_core.vnet.1'], uapi.MLX5_VHCA_STATE_IN_USE]);
    await b.portDel(FIRST_PORT);
    expect([b.auxiliary(), states(b)[0]]).toEqual([['mlx5_core.eth.0', 'mlx5_core.eth-rep.0', 'mlx5_core.rdma-rep.0'], 0]);
  });
});

describe('states, as the device tells of them', () => {
  it('go from allocated over active to in use, and back when the driver has let go', async () => {
    covers('2.10.4');
    const b = await bootMlx5();
    await b.switchdev();
    const port = await b.portAdd(1);
    const state = (): Promise<{ state: number; opstate: number }> => b.op(BDF, (ops, devlink) => ops.port_fn_state_get!({
      devlink, index: port, attrs: { flavour: uapi.DEVLINK_PORT_FLAVOUR_PHYSICAL, phys: { port_number: 0 } }, priv: port,
    }));
    expect([states(b)[0], await state()]).toEqual([uapi.MLX5_VHCA_STATE_ALLOCATED, { state: 0, opstate: 0 }]);
    await b.portState(port, ACTIVE);
    expect([states(b)[0], await state()]).toEqual([uapi.MLX5_VHCA_STATE_IN_USE, { state: 1, opstate: 1 }]);
    const sf = b.k.bus_devices(b.k.find_bus('auxiliary')!).find(({ name }) => name === SF)!;
    await b.run(() => b.k.device_release_driver(sf));
    expect([states(b)[0], await state()]).toEqual([uapi.MLX5_VHCA_STATE_ACTIVE, { state: 1, opstate: 0 }]);
    await b.run(async () => void await b.k.device_attach(sf));
    expect([states(b)[0], await state()]).toEqual([uapi.MLX5_VHCA_STATE_IN_USE, { state: 1, opstate: 1 }]);
    await b.portState(port, INACTIVE);
    expect([states(b)[0], await state(), b.auxiliary().includes(SF)]).toEqual([uapi.MLX5_VHCA_STATE_ALLOCATED, { state: 0, opstate: 0 }, false]);
    await b.portDel(port);
    expect(states(b)[0]).toBe(uapi.MLX5_VHCA_STATE_INVALID);
  });

  it('are attached as long as a child\'s driver does not let go, and activating is EBUSY until then', async () => {
    covers('2.10.4');
    const b = await bootMlx5();
    let letGo = false;
    const wq = b.k.init_waitqueue_head('slow');
    const slow = {
      name: 'slow', owner: { name: 'slow', state: 'live' as const }, id_table: [{ name: 'mlx5_core.vnet' }],
      probe: async () => undefined, remove: () => b.k.wait_event(wq, () => letGo, 'the last close of a file'),
    };
    await b.run(() => b.k.__auxiliary_driver_register(slow));
    await b.switchdev();
    await b.subfunction(5);
    await b.portState(FIRST_PORT, INACTIVE); // comes back: who waits is the worker
    expect(states(b)[0]).toBe(uapi.MLX5_VHCA_STATE_TEARDOWN_REQUEST);
    await expect(b.portState(FIRST_PORT, ACTIVE)).rejects.toMatchObject({ errno: 'EBUSY', extack: 'mlx5_core: SF is inactivated but it is still attached' });
    await b.portDel(FIRST_PORT);
    await expect(b.portAdd(5)).rejects.toMatchObject({ errno: 'EEXIST' });
    expect(await b.portAdd(6)).toBe(FIRST_PORT + 1);
    letGo = true;
    b.k.wake_up(wq);
    await b.settle();
    expect(states(b)).toEqual([0, uapi.MLX5_VHCA_STATE_ALLOCATED, 0, 0]);
    expect(await b.portAdd(5)).toBe(FIRST_PORT);
    await b.run(() => b.k.auxiliary_driver_unregister(slow));
    await b.run(() => b.rmmod('mlx5_core'));
    expect([states(b), b.leftovers()]).toEqual([[0, 0, 0, 0], []]);
  });
});
