import type { DevlinkPortNewAttrs } from '@vdpalab/devlink';
import { bootBuiltins, covers, errnoOf } from '@vdpalab/testing';
import * as uapi from '@vdpalab/uapi';
import { expect, test } from 'vitest';
import { SfHwTable } from './sf-hw-table.ts';
import { checkNewAttrs, portNew, SfTable } from './sf-table.ts';
import { Firmware } from './testing/firmware.ts';

const { DEVLINK_PORT_FN_STATE_ACTIVE: ACTIVE, DEVLINK_PORT_FN_STATE_INACTIVE: INACTIVE } = uapi;
const BASE = 0x8000;
const asked: DevlinkPortNewAttrs = { flavour: uapi.DEVLINK_PORT_FLAVOUR_PCI_SF, pfnum: 0, port_index: null, controller: null, sfnum: 88 };

/** Both tables over a firmware, in switchdev mode. */
async function tables(max = 2) {
  const kernel = await bootBuiltins(['sched', 'mm', 'fs', 'driver-core']);
  const firmware = new Firmware();
  const ports: number[] = [];
  const hw = new SfHwTable(kernel.k, firmware, BASE, max);
  const table = new SfTable(kernel.k, hw, {
    async enableVport(fnId) {
      if (firmware.failing === 'port') throw new Error('no port');
      ports.push(fnId);
      return fnId;
    },
    disableVport: async (fnId) => void ports.splice(ports.indexOf(fnId), 1),
    enableHca: (fnId) => firmware.enableHca(fnId),
    disableHca: (fnId) => firmware.disableHca(fnId),
    abandonHca: (fnId) => firmware.disableHca(fnId),
  });
  table.enable();
  /** What the chain of events does when the firmware's state has changed. */
  const event = async (fnId: number, state = firmware.states.get(fnId)!): Promise<void> => {
    firmware.states.set(fnId, state);
    await table.vhcaEvent({ functionId: fnId, swFunctionId: 0, newVhcaState: state });
    await hw.vhcaEvent({ functionId: fnId, swFunctionId: 0, newVhcaState: state });
  };
  return { run: kernel.run, leftovers: kernel.leftovers, firmware, ports, hw, table, event };
}

const refusalOf = (attrs: Partial<DevlinkPortNewAttrs>): string => {
  try {
    checkNewAttrs({ ...asked, ...attrs }, 0);
    return 'ok';
  } catch (error) {
    return `${(error as { errno: string }).errno} ${(error as { extack: string }).extack}`;
  }
};

test('a new port is checked in Linux\'s order, and refused with its words', () => {
  const wrong = [
    [{ pfnum: 1 }, 'mlx5_core: Invalid pfnum supplied'],
    [{ controller: 1 }, 'mlx5_core: External controller is unsupported'],
    [{ sfnum: null }, 'mlx5_core: User must provide unique sfnum. Driver does not support auto assignment'],
    [{ port_index: 7 }, 'mlx5_core: Driver does not support user defined port index assignment'],
    [{ flavour: uapi.DEVLINK_PORT_FLAVOUR_PCI_VF }, 'mlx5_core: Driver supports only SF port addition'],
  ] as const;
  let all: Partial<DevlinkPortNewAttrs> = {};
  for (const [attrs, message] of wrong) {
    all = { ...all, ...attrs }; // with all that is checked later wrong, too
    expect([refusalOf(attrs), refusalOf(all)]).toEqual([`EOPNOTSUPP ${message}`, `EOPNOTSUPP ${message}`]);
  }
  expect([refusalOf({}), refusalOf({ controller: 0 })]).toEqual(['ok', 'ok']);
});

test('no port without a table or outside switchdev mode, and then the attributes still count first', async () => {
  covers('2.10.1');
  const { run, table } = await tables();
  const message = 'mlx5_core: Port add is only supported in eswitch switchdev mode or SF ports are disabled.';
  await run(async () => {
    await table.disable();
    for (const of of [null, table]) {
      await expect(portNew(of, asked, 0)).rejects.toMatchObject({ errno: 'EOPNOTSUPP', extack: message });
      await expect(portNew(of, { ...asked, pfnum: 3 }, 0)).rejects.toMatchObject({ extack: 'mlx5_core: Invalid pfnum supplied' });
      expect([await errnoOf(() => table.del(BASE)), await errnoOf(() => table.stateGet(BASE)), await errnoOf(() => table.stateSet(BASE, ACTIVE))]).toEqual(Array(3).fill('EOPNOTSUPP'));
    }
  });
});

test('an sfnum is taken once, even when the table is full; a function is taken lowest first', async () => {
  covers('2.10.2');
  const { run, firmware, table } = await tables();
  await run(async () => {
    expect([await table.add(5), await table.add(3)]).toEqual([BASE, BASE + 1]);
    await expect(table.add(5)).rejects.toMatchObject({ errno: 'EEXIST', extack: 'mlx5_core: SF already exist. Choose different sfnum' });
    expect(await errnoOf(() => table.add(9))).toBe('ENOSPC');
    await table.del(BASE);
    expect(await errnoOf(() => table.add(3))).toBe('EEXIST');
    expect(await table.add(9)).toBe(BASE);
  });
  expect(firmware.commands.slice(-3)).toEqual([`dealloc ${BASE}`, `alloc ${BASE}`, `sfnum 9 ${BASE}`]);
});

test.each(['alloc', 'sfnum', 'port'])('when %s fails, nothing is taken', async (step) => {
  const { run, firmware, ports, hw, table } = await tables();
  await run(async () => {
    firmware.failing = step;
    await expect(table.add(5)).rejects.toThrow();
    firmware.failing = null;
    expect([hw.size, table.size, [...firmware.states], ports]).toEqual([0, 0, [], []]);
    expect(await table.add(5)).toBe(BASE);
  });
});

test('states: active once enabled, attached once driven, inactive but attached until its driver lets it go', async () => {
  covers('2.10.4');
  const { run, firmware, table, event } = await tables();
  await run(async () => {
    const port = await table.add(5);
    const state = (): Promise<unknown> => table.stateGet(port);
    const is = (s: number, o: number) => ({ state: s, opstate: o });
    const { DEVLINK_PORT_FN_OPSTATE_ATTACHED: ATTACHED, DEVLINK_PORT_FN_OPSTATE_DETACHED: DETACHED } = uapi;
    expect(await state()).toEqual(is(INACTIVE, DETACHED));
    await table.stateSet(port, INACTIVE); // what it is already
    await table.stateSet(port, ACTIVE);
    expect(await state()).toEqual(is(ACTIVE, DETACHED));
    await table.stateSet(port, ACTIVE);
    await event(port, uapi.MLX5_VHCA_STATE_IN_USE);
    expect(await state()).toEqual(is(ACTIVE, ATTACHED));
    await table.stateSet(port, ACTIVE);
    await event(port, uapi.MLX5_VHCA_STATE_ACTIVE); // its driver was unbound
    expect(await state()).toEqual(is(ACTIVE, DETACHED));
    await event(port, uapi.MLX5_VHCA_STATE_IN_USE);
    await table.stateSet(port, INACTIVE);
    expect(await state()).toEqual(is(INACTIVE, ATTACHED));
    await expect(table.stateSet(port, ACTIVE)).rejects.toMatchObject({ errno: 'EBUSY', extack: 'mlx5_core: SF is inactivated but it is still attached' });
    await event(port, uapi.MLX5_VHCA_STATE_ALLOCATED);
    expect(await state()).toEqual(is(INACTIVE, DETACHED));
    await table.stateSet(port, ACTIVE);
    expect(await errnoOf(() => table.stateSet(port, 7))).toBe('EINVAL');
  });
  expect(firmware.commands.filter((c) => /able/.test(c))).toEqual([`enable ${BASE}`, `disable ${BASE}`, `enable ${BASE}`]);
});

test('what the firmware refuses leaves the state', async () => {
  const { run, firmware, table } = await tables();
  await run(async () => {
    const port = await table.add(5);
    firmware.failing = 'enable';
    expect(await errnoOf(() => table.stateSet(port, ACTIVE))).toBe('EIO');
    expect((await table.stateGet(port)).state).toBe(INACTIVE);
    await table.stateSet(port, ACTIVE);
    firmware.failing = 'disable';
    expect(await errnoOf(() => table.stateSet(port, INACTIVE))).toBe('EIO');
    expect((await table.stateGet(port)).state).toBe(ACTIVE);
  });
});

test('a port goes at once; its function, and its sfnum, when the driver has let it go', async () => {
  const { run, firmware, ports, hw, table, event } = await tables();
  await run(async () => {
    const port = await table.add(5);
    await table.stateSet(port, ACTIVE);
    await event(port, uapi.MLX5_VHCA_STATE_IN_USE);
    await table.del(port);
    expect([ports, table.size, hw.size, firmware.states.get(port)]).toEqual([[], 0, 1, uapi.MLX5_VHCA_STATE_TEARDOWN_REQUEST]);
    expect([await errnoOf(() => table.add(5)), await errnoOf(() => table.del(port))]).toEqual(['EEXIST', 'ENODEV']);
    await event(port, uapi.MLX5_VHCA_STATE_TEARDOWN_REQUEST);
    await event(port, uapi.MLX5_VHCA_STATE_ALLOCATED);
    expect([hw.size, [...firmware.states]]).toEqual([0, []]);
    expect(await table.add(5)).toBe(port);
  });
});

test('leaving switchdev mode waits for the command that runs, takes all ports, and functions whose event was missed go at the end', async () => {
  const { run, firmware, ports, hw, table, leftovers } = await tables();
  await run(async () => {
    const [plain, driven] = [await table.add(1), await table.add(2)];
    await table.stateSet(driven, ACTIVE);
    firmware.states.set(driven, uapi.MLX5_VHCA_STATE_IN_USE);
    await table.disable();
    await table.disable(); // nothing to do
    expect([ports, table.size, hw.size, firmware.states.has(plain)]).toEqual([[], 0, 1, false]);
    await hw.deallocAll();
    expect([hw.size, firmware.states.size]).toEqual([0, 0]);
    table.enable();
    expect(await table.add(2)).toBe(plain);
    await table.disable();
  });
  expect(leftovers()).toEqual([]);
});
