/** What every driver with a devlink instance passes: what it says it can do, it does, and what it changes can be read back. */
import * as uapi from '@vdpalab/uapi';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { BootedKernel, TestProcess } from '../kernel/boot.ts';
import type { ToolCalls } from '../netlink/genl-tool.ts';
import { DevlinkTool } from './tool.ts';

/** A driver, ready to be put through the suite. */
export interface DevlinkSubject {
  /** As its tests are named. */
  readonly name: string;
  /** A kernel in which the driver has its device. */
  readonly boot: () => Promise<BootedKernel>;
  /** Take the driver away. */
  readonly leave: (kernel: BootedKernel) => Promise<void>;
  /** The instance: `BUS/NAME`. */
  readonly handle: string;
  /** Parameters of mode driverinit that are flags. */
  readonly flags: readonly string[];
  readonly reload: boolean;
  readonly eswitch: boolean;
  /** Subfunctions of this PF can be added in switchdev mode; `null`: no ports are added. */
  readonly sf: { readonly pfnum: number } | null;
}

type Tool = DevlinkTool<TestProcess>;

/** Register the tests of one driver. */
export function describeDevlinkDriver(subject: DevlinkSubject): void {
  describe(`${subject.name} as a devlink driver`, () => {
    let kernel: BootedKernel;
    beforeEach(async () => {
      kernel = await subject.boot();
    }, 60_000);
    afterEach(async () => {
      await subject.leave(kernel);
      expect(kernel.leftovers()).toEqual([]);
    });

    const using = <T>(body: (tool: Tool) => Promise<T>): Promise<T> => kernel.user(async (proc) => {
      const tool = await DevlinkTool.open(kernel.k as unknown as ToolCalls<TestProcess>, proc, subject.handle); // fs is among the modules
      try {
        return await body(tool);
      } finally {
        await tool.close();
      }
    });

    test('is listed once, and found by its handle', () => using(async (tool) => {
      expect(await tool.dump(uapi.DEVLINK_CMD_GET)).toHaveLength(1);
      expect(await tool.result(uapi.DEVLINK_CMD_GET)).toBe('ok');
    }));

    test('shows ports of different indexes, each of which can be asked for', () => using(async (tool) => {
      const ports = await tool.ports();
      expect(new Set(ports.map((port) => port.index)).size).toBe(ports.length);
      for (const { index } of ports) {
        expect(await tool.result(uapi.DEVLINK_CMD_PORT_GET, (b) => b.putU32(uapi.DEVLINK_ATTR_PORT_INDEX, index))).toBe('ok');
      }
    }));

    test('keeps the flags it is given for its next start', () => using(async (tool) => {
      const value = async (name: string): Promise<boolean> => {
        const shown = (await tool.params()).find((param) => param.name === name);
        if (shown === undefined) throw new Error(`no parameter ${name}`);
        return shown.values.get(uapi.DEVLINK_PARAM_CMODE_DRIVERINIT) !== null;
      };
      for (const name of subject.flags) {
        const before = await value(name);
        expect([name, await tool.setFlag(name, !before), await value(name)]).toEqual([name, 'ok', !before]);
        expect([name, await tool.setFlag(name, before), await value(name)]).toEqual([name, 'ok', before]);
      }
    }));

    test(`${subject.reload ? 'is reloaded, again and again, with the same ports and parameters' : 'is not reloaded'}`, () => using(async (tool) => {
      if (!subject.reload) {
        expect(await tool.reload()).toMatch(/^EOPNOTSUPP/);
        return;
      }
      const shown = async (): Promise<unknown> => [await tool.ports(), await tool.params()];
      const before = await shown();
      for (let round = 0; round < 2; round++) expect([await tool.reload(), await shown()]).toEqual(['ok', before]);
      expect((await tool.dump(uapi.DEVLINK_CMD_GET))[0]?.get(uapi.DEVLINK_ATTR_RELOAD_FAILED)).toEqual(Uint8Array.of(0));
    }));

    test(`${subject.eswitch ? 'goes to switchdev mode and back' : 'has no eswitch'}`, () => using(async (tool) => {
      if (!subject.eswitch) {
        expect(await tool.setEswitchMode(uapi.DEVLINK_ESWITCH_MODE_SWITCHDEV)).toMatch(/^EOPNOTSUPP/);
        return;
      }
      for (const mode of [uapi.DEVLINK_ESWITCH_MODE_SWITCHDEV, uapi.DEVLINK_ESWITCH_MODE_LEGACY]) {
        expect([await tool.setEswitchMode(mode), await tool.eswitchMode()]).toEqual(['ok', mode]);
      }
    }));

    const { sf } = subject;
    test.runIf(sf !== null)('makes ports of subfunctions, whose address and state can be set, and takes them away', () => using(async (tool) => {
      const { pfnum } = sf as NonNullable<typeof sf>; // runIf
      expect(await tool.addSf(pfnum, 88)).toMatch(/^EOPNOTSUPP: /); // not switchdev
      expect(await tool.setEswitchMode(uapi.DEVLINK_ESWITCH_MODE_SWITCHDEV)).toBe('ok');
      const before = await tool.ports();
      const index = await tool.addSf(pfnum, 88);
      if (typeof index === 'string') throw new Error(index);
      const port = async (): Promise<unknown> => {
        const shown = (await tool.ports()).find((p) => p.index === index);
        return [shown?.flavour, shown?.sfnum, shown?.hw_addr, shown?.state];
      };
      const sfPort = uapi.DEVLINK_PORT_FLAVOUR_PCI_SF;
      expect(await port()).toEqual([sfPort, 88, '00:00:00:00:00:00', uapi.DEVLINK_PORT_FN_STATE_INACTIVE]);
      expect(await tool.addSf(pfnum, 88)).toMatch(/^E/);
      expect(await tool.setFunction(index, { hw_addr: Uint8Array.of(0, 0x11, 0x22, 0x33, 0x44, 0x55) })).toBe('ok');
      expect(await tool.setFunction(index, { state: uapi.DEVLINK_PORT_FN_STATE_ACTIVE })).toBe('ok');
      expect(await port()).toEqual([sfPort, 88, '00:11:22:33:44:55', uapi.DEVLINK_PORT_FN_STATE_ACTIVE]);
      expect(await tool.setFunction(index, { state: uapi.DEVLINK_PORT_FN_STATE_INACTIVE })).toBe('ok');
      expect(await tool.delPort(index)).toBe('ok');
      expect(await tool.ports()).toEqual(before);
      expect(await tool.delPort(index)).toMatch(/^E/);
      expect(await tool.setEswitchMode(uapi.DEVLINK_ESWITCH_MODE_LEGACY)).toBe('ok');
    }));

    test('refuses what it has no answer for, and stays as it was', () => using(async (tool) => {
      const before = [await tool.ports(), await tool.params()];
      const missing = (b: uapi.NlaBuilder): undefined => b.putU32(uapi.DEVLINK_ATTR_PORT_INDEX, 0xfffe);
      expect(await tool.result(uapi.DEVLINK_CMD_PORT_GET, missing)).toBe('ENODEV');
      expect(await tool.result(uapi.DEVLINK_CMD_PORT_SET, missing)).toBe('ENODEV');
      expect(await tool.setFlag('no_such_param', true)).toBe('EINVAL');
      expect([await tool.ports(), await tool.params()]).toEqual(before);
    }));
  });
}
