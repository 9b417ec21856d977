import { KernelError } from '@vdpalab/abi';
import { covers } from '@vdpalab/testing';
import { DEVLINK_ESWITCH_MODE_LEGACY } from '@vdpalab/uapi';
import { describe, expect, it, vi } from 'vitest';
import { CommandInterface } from './cmd.ts';
import mlx5 from './module.ts';
import { BDF, bootMlx5, FIRST_PORT, PF } from './testing/bench.ts';

/** Symbols whose calls can fail. */
const FALLIBLE = [
  'pci_enable_device', 'pci_request_selected_regions', 'dma_set_mask_and_coherent', 'pci_iomap_range', 'dma_alloc_coherent', 'pci_alloc_irq_vectors', 'request_irq',
  'devl_port_register', 'devlink_params_register', 'devlink_param_driverinit_value_set', 'auxiliary_device_init', '__auxiliary_device_add', 'devlink_register', 'ida_alloc_max',
];

describe('binding', () => {
  it('names physical functions of ConnectX and subfunctions', () => {
    expect(mlx5.alias).toContain('pci:v000015B3d0000101Dsv*sd*bc*sc*i*');
    expect(mlx5.alias[0]).toBe('auxiliary:mlx5_core.sf');
  });

  it('brings a function up: registers, firmware, queues with interrupts, devlink, children', async () => {
    const b = await bootMlx5();
    expect(b.dmesg().filter((line) => line.startsWith('mlx5'))).toEqual([
      `mlx5_core ${BDF}: firmware version: 22.35.1012`, `mlx5_core ${BDF}: E-Switch: Total vports 6`,
    ]);
    expect(b.actions()).toEqual([`mlx5_async0@pci:${BDF}`, `mlx5_comp0@pci:${BDF}`]);
    expect(b.auxiliary()).toEqual(['mlx5_core.eth.0', 'mlx5_core.rdma.0']);
    expect([b.fn.vhca.stage, b.dev().boardId, b.dev().vhca_id]).toEqual(['initialised', 'MT_0000000359', 0]);
    expect(await b.devlink(PF, (tool) => tool.eswitchMode())).toBe(DEVLINK_ESWITCH_MODE_LEGACY);
    await b.run(() => b.rmmod('mlx5_core'));
    expect([b.actions(), b.auxiliary(), b.fn.vhca.stage, b.leftovers()]).toEqual([[], [], 'disabled', []]);
  });

  it('can be let go and taken again', async () => {
    const b = await bootMlx5();
    const pdev = b.k.pci_devices().find(({ dev }) => dev.name === BDF)!;
    for (let n = 0; n < 2; n++) {
      await b.run(() => b.k.device_release_driver(pdev.dev));
      expect([b.bound(), b.auxiliary(), b.actions()]).toEqual([false, [], []]);
      await b.run(async () => void await b.k.device_attach(pdev.dev));
      expect([b.bound(), b.auxiliary()]).toEqual([true, ['mlx5_core.eth.0', 'mlx5_core.rdma.0']]);
    }
  });
});

describe('a probe that fails leaves nothing', () => {
  it.each(FALLIBLE)('at any call of %s', async (symbol) => {
    let [calls, failAt] = [0, Infinity];
    const wrap = (name: string, real: (...args: never[]) => unknown): unknown => (name !== symbol ? real : (...args: never[]): unknown => {
      if (calls++ === failAt) throw new KernelError('ENOMEM', 'test.inject', `${symbol} fails`);
      return real(...args);
    });
    const b = await bootMlx5({ wrap });
    const pdev = b.k.pci_devices().find(({ dev }) => dev.name === BDF)!;
    const all = calls;
    expect(all).toBeGreaterThan(0);
    for (let n = 0; n < all; n++) {
      await b.run(() => b.k.device_release_driver(pdev.dev));
      [calls, failAt] = [0, n];
      await b.run(async () => void await b.k.device_attach(pdev.dev));
      expect([n, b.bound(), b.actions(), b.auxiliary(), b.fn.vhca.stage]).toEqual([n, false, [], [], 'disabled']);
      failAt = Infinity;
      await b.run(async () => void await b.k.device_attach(pdev.dev));
      expect([n, b.bound()]).toEqual([n, true]);
    }
    await b.run(() => b.rmmod('mlx5_core'));
    expect(b.leftovers()).toEqual([]);
  });

  it('at any command that the firmware refuses, and says which step it was', async () => {
    const b = await bootMlx5({ subfunctions: 2 });
    const pdev = b.k.pci_devices().find(({ dev }) => dev.name === BDF)!;
    const { exec } = CommandInterface.prototype;
    let [calls, failAt] = [0, Infinity];
    const spy = vi.spyOn(CommandInterface.prototype, 'exec').mockImplementation(async function (this: CommandInterface, ...args) {
      if (calls++ === failAt) throw new KernelError('EINVAL', 'test.inject', 'refused');
      return await exec.apply(this, args);
    });
    try {
      const said: string[] = [];
      for (let n = 0, all = 1; n < all; n++) {
        await b.run(() => b.k.device_release_driver(pdev.dev));
        b.dmesg();
        [calls, failAt] = [0, n];
        await b.run(async () => void await b.k.device_attach(pdev.dev));
        said.push(...b.dmesg().filter((line) => /failed|Failed/.test(line) && line.startsWith('mlx5')).map((line) => line.replace(/^mlx5_core \S+: /, '')));
        expect([n, b.bound(), b.actions(), b.auxiliary(), b.fn.vhca.stage]).toEqual([n, false, [], [], 'disabled']);
        [calls, failAt] = [0, Infinity];
        await b.run(async () => void await b.k.device_attach(pdev.dev));
        expect(b.bound()).toBe(true);
        all = calls;
      }
      expect(new Set(said)).toEqual(new Set([
        'enable hca failed', 'failed to set issi', 'init hca failed', 'query hca failed', 'query board id failed', 'sw objs init failed', 'Failed allocating uar, aborting',
        'failed to create cmd EQ', 'failed to create async EQ', 'Failed to create EQs', 'sf table create failed', 'mlx5_core: probe of 0000:08:00.0 failed with error -22',
      ]));
    } finally {
      spy.mockRestore();
    }
    await b.run(() => b.rmmod('mlx5_core'));
    expect(b.leftovers()).toEqual([]);
  });

  it('of a subfunction: at any command, and the port can be tried again', async () => {
    covers('2.10.5');
    const b = await bootMlx5({ subfunctions: 1 });
    await b.switchdev();
    const { exec } = CommandInterface.prototype;
    let [calls, failAt] = [0, Infinity];
    const spy = vi.spyOn(CommandInterface.prototype, 'exec').mockImplementation(async function (this: CommandInterface, ...args) {
      if (this !== b.dev().cmd && calls++ === failAt) throw new KernelError('EINVAL', 'test.inject', 'refused');
      return await exec.apply(this, args);
    });
    try {
      for (let n = 0, all = 1; n < all; n++) {
        [calls, failAt] = [0, n];
        expect(await b.subfunction(5)).toBe(FIRST_PORT);
        expect([n, b.auxiliary(1), b.actions().length]).toEqual([n, ['mlx5_core.sf.1'], 2]);
        expect([await b.portDel(FIRST_PORT), b.states()]).toEqual(['ok', [0]]);
        [calls, failAt] = [0, Infinity];
        await b.subfunction(5);
        all = calls;
        expect([await b.portDel(FIRST_PORT), b.states(), b.auxiliary(1)]).toEqual(['ok', [0], []]);
      }
    } finally {
      spy.mockRestore();
    }
    await b.run(() => b.rmmod('mlx5_core'));
    expect(b.leftovers()).toEqual([]);
  });
});
