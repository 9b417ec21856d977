import { KernelError } from '@vdpalab/abi';
import type { Device } from '@vdpalab/driver-core';
import type { DevlinkTool, TestProcess } from '@vdpalab/testing';
import * as uapi from '@vdpalab/uapi';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BDF, bootMlx5, FIRST_PORT, PF, slowChild } from './testing/bench.ts';
import type { Bench } from './testing/bench.ts';

const { DEVLINK_PORT_FN_STATE_ACTIVE: ACTIVE, DEVLINK_PORT_FN_STATE_INACTIVE: INACTIVE } = uapi;
const legacy = (b: Bench): Promise<string> => b.devlink(PF, (tool) => tool.setEswitchMode(uapi.DEVLINK_ESWITCH_MODE_LEGACY));
const pdevOf = (b: Bench) => b.k.pci_devices().find(({ dev }) => dev.name === BDF)!;

/** Two subfunctions: one that is driven, one that is a port only. */
async function stage(): Promise<Bench> {
  const b = await bootMlx5();
  await b.switchdev();
  await b.subfunction(1);
  await b.portAdd(2);
  return b;
}

/** Nothing of the subfunctions is there, and the driver goes without a trace. */
async function ends(b: Bench): Promise<void> {
  expect([b.states(), b.auxiliary().filter((name) => !name.endsWith('.0'))]).toEqual([[0, 0, 0, 0], []]);
  await b.run(() => b.rmmod('mlx5_core'));
  expect([b.actions(), b.auxiliary(), b.leftovers()]).toEqual([[], [], []]);
}

describe('subfunctions go', () => {
  it('in order: inactive, then the port', async () => {
    const b = await stage();
    expect([await b.portState(FIRST_PORT, INACTIVE), b.auxiliary(1)]).toEqual(['ok', []]);
    expect([await b.portDel(FIRST_PORT), await b.portDel(FIRST_PORT + 1)]).toEqual(['ok', 'ok']);
    await ends(b);
  });

  it('with their port, driven or not', async () => {
    const b = await stage();
    expect([await b.portDel(FIRST_PORT), b.auxiliary(1), await b.portDel(FIRST_PORT + 1)]).toEqual(['ok', [], 'ok']);
    await ends(b);
  });

  it('with switchdev mode, and come anew in the next', async () => {
    const b = await stage();
    expect(await legacy(b)).toBe('ok');
    await b.switchdev();
    expect([await b.portAdd(1), await b.portAdd(2), await legacy(b)]).toEqual([FIRST_PORT, FIRST_PORT + 1, 'ok']);
    await ends(b);
  });

  it('with the driver of the function, and with the module', async () => {
    const b = await stage();
    await b.run(() => b.k.device_release_driver(pdevOf(b).dev));
    expect([b.states(), b.auxiliary(), b.actions(), b.bound()]).toEqual([[0, 0, 0, 0], [], [], false]);
    await b.run(async () => void await b.k.device_attach(pdevOf(b).dev));
    await b.switchdev();
    await b.subfunction(1);
    await b.run(() => b.rmmod('mlx5_core'));
    expect([b.states(), b.actions(), b.leftovers()]).toEqual([[0, 0, 0, 0], [], []]);
  });

  it('not by a reload of the function that manages them, which is refused as long as one has a device', async () => {
    const b = await stage();
    const reload = (): Promise<string> => b.devlink(PF, (tool) => tool.reload());
    expect(await reload()).toBe('EOPNOTSUPP: mlx5_core: reload is unsupported when SFs are allocated');
    await b.portState(FIRST_PORT, INACTIVE);
    expect([await reload(), await b.devlink(PF, (tool) => tool.eswitchMode()), b.auxiliary()]).toEqual(['ok', 0, ['mlx5_core.eth.0', 'mlx5_core.rdma.0']]);
    await b.switchdev();
    expect(await b.subfunction(9)).toBe(FIRST_PORT);
    await b.portDel(FIRST_PORT);
    await ends(b);
  });

  it('while a child\'s driver waits: the module\'s end waits, too, and nothing else does', async () => {
    const b = await bootMlx5();
    const slow = await slowChild(b);
    await b.switchdev();
    await b.subfunction(1);
    await b.portDel(FIRST_PORT); // the worker waits for the child
    const unload = b.spawn('rmmod', () => b.rmmod('mlx5_core'));
    await b.settle();
    expect(unload.state).not.toBe('done');
    await slow.letGo();
    expect(unload.state).toBe('done');
    await slow.unregister();
    expect([b.states(), b.actions(), b.leftovers()]).toEqual([[0, 0, 0, 0], [], []]);
  });

  it('when the device is pulled: what is left of it needs no answer', async () => {
    const b = await stage();
    b.k.pci_write_config_word(pdevOf(b), uapi.PCI_COMMAND, 0);
    await b.run(() => b.rmmod('mlx5_core'));
    expect([b.bound(), b.actions(), b.auxiliary(), b.leftovers()]).toEqual([false, [], [], []]);
  });
});

it('a mode is set even if a child cannot be added, which is in the log', async () => {
  let failing = false;
  const b = await bootMlx5({
    wrap: (symbol, real) => (symbol !== '__auxiliary_device_add' ? real : async (...args: never[]) => {
      if (failing) throw new KernelError('ENOMEM', 'test.inject', 'no device');
      return await (real(...args) as Promise<void>);
    }),
  });
  failing = true;
  await b.switchdev();
  expect([b.auxiliary(), b.dmesg().at(-2)]).toEqual([['mlx5_core.eth.0'], `mlx5_core ${BDF}: Device[1] (eth-rep) failed to load`]);
  failing = false;
  expect([await legacy(b), b.auxiliary()]).toEqual(['ok', ['mlx5_core.eth.0', 'mlx5_core.rdma.0']]);
  await ends(b);
});

describe('a storm', () => {
  const step = fc.record({
    what: fc.constantFrom('add', 'add', 'active', 'active', 'inactive', 'del', 'sf-reload', 'sf-unbind', 'sf-bind', 'legacy', 'switchdev', 'reload', 'rebind'),
    n: fc.nat(3),
  });

  /** One thing that is done, by a process of its own. What is refused is refused. */
  async function act(b: Bench, what: string, n: number): Promise<void> {
    const ask = (handle: string, body: (tool: DevlinkTool<TestProcess>) => Promise<unknown>): Promise<unknown> => b.devlinkHere(handle, body);
    const sf = (): Device | undefined => b.k.bus_devices(b.k.find_bus('auxiliary')!).find(({ name }) => name.startsWith('mlx5_core.sf.'));
    const port = FIRST_PORT + n;
    const deeds: Readonly<Record<string, () => Promise<unknown>>> = {
      add: () => ask(PF, (tool) => tool.addSf(0, n)),
      active: () => ask(PF, (tool) => tool.setFunction(port, { state: ACTIVE })),
      inactive: () => ask(PF, (tool) => tool.setFunction(port, { state: INACTIVE })),
      del: () => ask(PF, (tool) => tool.delPort(port)),
      'sf-reload': () => ask(`auxiliary/mlx5_core.sf.${n + 1}`, (tool) => tool.reload()),
      'sf-unbind': async () => (sf() === undefined ? undefined : b.k.device_release_driver(sf()!)),
      'sf-bind': async () => (sf() === undefined ? undefined : b.k.device_attach(sf()!)),
      legacy: () => ask(PF, (tool) => tool.setEswitchMode(uapi.DEVLINK_ESWITCH_MODE_LEGACY)),
      switchdev: () => ask(PF, (tool) => tool.setEswitchMode(uapi.DEVLINK_ESWITCH_MODE_SWITCHDEV)),
      reload: () => ask(PF, (tool) => tool.reload()),
      async rebind() {
        await b.k.device_release_driver(pdevOf(b).dev);
        await b.k.device_attach(pdevOf(b).dev);
      },
    };
    await deeds[what]!();
  }

  it('of all that can be done to them, in any order and at once, leaves nothing', async () => {
    await fc.assert(fc.asyncProperty(fc.nat(1000), fc.array(fc.array(step, { minLength: 1, maxLength: 3 }), { maxLength: 15 }), async (seed, rounds) => {
      const b = await bootMlx5({ seed });
      await b.switchdev();
      for (const round of rounds) {
        const tasks = round.map(({ what, n }) => b.spawn(what, () => act(b, what, n)));
        await b.settle();
        expect(tasks.map((task) => `${task.name} ${task.state}`)).toEqual(tasks.map((task) => `${task.name} done`));
      }
      await b.run(() => b.rmmod('mlx5_core'));
      expect([b.states(), b.actions(), b.auxiliary(), b.leftovers()]).toEqual([[0, 0, 0, 0], [], [], []]);
    }), { numRuns: 20 });
  }, 120_000);
});
