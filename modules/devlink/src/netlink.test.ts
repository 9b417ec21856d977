/** Requests and their refusals, in Linux's order; notifications. */
import { KernelError } from '@vdpalab/abi';
import type { Process } from '@vdpalab/fs';
import { covers, DevlinkTool } from '@vdpalab/testing';
import type { Attrs } from '@vdpalab/testing';
import * as uapi from '@vdpalab/uapi';
import { beforeEach, describe, expect, test } from 'vitest';
import { bootToy } from './testing/kernel.ts';
import type { ToyKernel } from './testing/kernel.ts';

type Fill = (b: uapi.NlaBuilder) => void;
type Tool = DevlinkTool<Process>;

let kernel: ToyKernel;
beforeEach(async () => {
  kernel = await bootToy();
});

const text = (m: Attrs, type: number): string => uapi.utf8Decode(m.get(type) ?? new Uint8Array(0)).replace(/\0+$/, '');

test('devlink drives what a driver offers: eswitch, ports, functions, parameters, reload', async () => {
  covers('1.4.3');
  await kernel.tool(async (tool) => {
    expect(await tool.setEswitchMode(uapi.DEVLINK_ESWITCH_MODE_SWITCHDEV)).toBe('ok');
    expect(await tool.addSf(0, 88)).toBe(32_856);
    expect(await tool.setFunction(32_856, { hw_addr: Uint8Array.of(0, 0, 0, 0, 0x88, 0x88), state: 1 })).toBe('ok');
    expect(await tool.setFlag('enable_vnet', true)).toBe('ok');
    expect(await tool.reload()).toBe('ok');
    expect(await tool.delPort(32_856)).toBe('ok');
  });
  expect(kernel.toy.log).toEqual([
    'eswitch_mode_set 1', 'port_new', 'hw_addr_set 32856 000000008888', 'state_set 32856 1', 'reload_down false 1 0', 'reload_up 1 0 vnet=true', 'port_del 32856',
  ]);
});

describe('requests', () => {
  test('name an instance and a port that are there', () => kernel.tool(async (tool, proc) => {
    expect(await tool.result(uapi.DEVLINK_CMD_PORT_GET)).toBe('EINVAL');
    const port = (index: number): Fill => (b) => void b.putU32(uapi.DEVLINK_ATTR_PORT_INDEX, index);
    expect([await tool.result(uapi.DEVLINK_CMD_PORT_GET, port(3)), await tool.result(uapi.DEVLINK_CMD_PORT_GET, port(4))]).toEqual(['ok', 'ENODEV']);
    await kernel.ask(proc, async (other) => expect(await other.result(uapi.DEVLINK_CMD_GET)).toBe('ENODEV'), 'toy/toy2');
  }));

  test('that change something need CAP_NET_ADMIN; those that show need none', () => kernel.tool(async (tool) => {
    const changing = [
      uapi.DEVLINK_CMD_PORT_SET, uapi.DEVLINK_CMD_PORT_NEW, uapi.DEVLINK_CMD_PORT_DEL, uapi.DEVLINK_CMD_ESWITCH_GET, uapi.DEVLINK_CMD_ESWITCH_SET,
      uapi.DEVLINK_CMD_PARAM_SET, uapi.DEVLINK_CMD_RELOAD,
    ];
    for (const cmd of changing) expect([cmd, await tool.result(cmd)]).toEqual([cmd, 'EPERM']);
    expect([await tool.result(uapi.DEVLINK_CMD_GET), await tool.result(uapi.DEVLINK_CMD_INFO_GET)]).toEqual(['ok', 'ok']);
    expect(await tool.params()).toHaveLength(7);
  }, 'toy/toy0', { caps: [] }));

  test('for ops the driver has not are not supported', () => kernel.tool(async (tool) => {
    const fills: readonly (readonly [number, Fill])[] = [
      [uapi.DEVLINK_CMD_PORT_NEW, () => undefined], [uapi.DEVLINK_CMD_PORT_DEL, () => undefined], [uapi.DEVLINK_CMD_RELOAD, () => undefined],
      [uapi.DEVLINK_CMD_INFO_GET, () => undefined],
      [uapi.DEVLINK_CMD_ESWITCH_SET, (b) => b.putU16(uapi.DEVLINK_ATTR_ESWITCH_MODE, 1)],
      [uapi.DEVLINK_CMD_ESWITCH_SET, (b) => b.putU8(uapi.DEVLINK_ATTR_ESWITCH_INLINE_MODE, 1)],
      [uapi.DEVLINK_CMD_ESWITCH_SET, (b) => b.putU8(uapi.DEVLINK_ATTR_ESWITCH_ENCAP_MODE, 1)],
    ];
    for (const [cmd, fill] of fills) expect([cmd, await tool.result(cmd, fill)]).toEqual([cmd, 'EOPNOTSUPP']);
    expect(await tool.result(uapi.DEVLINK_CMD_ESWITCH_SET)).toBe('ok'); // nothing is asked for
  }, 'toy/toy1'));

  test('to add and to delete a port say which', () => kernel.tool(async (tool) => {
    expect(await tool.result(uapi.DEVLINK_CMD_PORT_NEW)).toBe('EINVAL: devlink: Port flavour or PCI PF are not specified');
    expect(await tool.result(uapi.DEVLINK_CMD_PORT_DEL)).toBe('EINVAL: devlink: Port index is not specified');
    expect(await tool.addSf(0, 1)).toBe('EOPNOTSUPP: toy_devlink: Port add is only supported in eswitch switchdev mode');
    expect(await tool.delPort(1)).toBe('ENODEV: toy_devlink: Fail to find a port');
  }));

  test('to set a function check the address, and then ask the driver', () => kernel.tool(async (tool) => {
    const set = (index: number, hw_addr: Uint8Array): Promise<string> => tool.setFunction(index, { hw_addr });
    expect(await set(0, new Uint8Array(33))).toBe('EINVAL: devlink: Port function hardware address too long');
    expect(await set(0, new Uint8Array(6))).toBe('EOPNOTSUPP');
    expect(await tool.setFunction(0, { state: 2 })).toBe('ERANGE: integer out of range');
    kernel.toy.failing.add('hw_addr_set');
    await tool.setEswitchMode(1);
    const index = await tool.addSf(0, 5);
    expect(await tool.setFunction(Number(index), { hw_addr: Uint8Array.of(2, 0, 0, 0, 0, 1), state: 1 })).toBe('EIO: toy_devlink: hw_addr_set fails');
    expect((await tool.ports()).at(-1)).toMatchObject({ hw_addr: '00:00:00:00:00:00', state: 0 }); // the state was not asked for
    await tool.delPort(Number(index));
  }));

  test('about parameters: type, value, mode', () => kernel.tool(async (tool) => {
    const set = (name: string, type: number | null, cmode: number | null, value: Uint8Array | null): Promise<string> => tool.result(uapi.DEVLINK_CMD_PARAM_SET, (b) => {
      b.putString(uapi.DEVLINK_ATTR_PARAM_NAME, name);
      if (type !== null) b.putU8(uapi.DEVLINK_ATTR_PARAM_TYPE, type);
      if (cmode !== null) b.putU8(uapi.DEVLINK_ATTR_PARAM_VALUE_CMODE, cmode);
      if (value !== null) b.put(uapi.DEVLINK_ATTR_PARAM_VALUE_DATA, value);
    });
    const u32 = (n: number): Uint8Array => Uint8Array.of(n, 0, 0, 0);
    expect([await set('max_macs', null, 1, u32(3)), await set('max_macs', 2, 1, u32(3)), await set('max_macs', 3, 1, null), await set('max_macs', 3, 1, Uint8Array.of(3))])
      .toEqual(['EINVAL', 'EINVAL', 'EINVAL', 'EINVAL']);
    expect(await set('max_macs', 3, null, u32(200))).toBe('EINVAL: toy_devlink: max_macs value is too large'); // before the mode is looked at
    expect([await set('max_macs', 3, null, u32(3)), await set('max_macs', 3, 0, u32(3)), await set('max_macs', 3, 9, u32(3)), await set('max_macs', 3, 1, u32(3))])
      .toEqual(['EINVAL', 'EOPNOTSUPP', 'EOPNOTSUPP', 'ok']);
    expect(await set('enable_eth', 6, 1, Uint8Array.of(1))).toBe('EINVAL');
    const long = uapi.utf8Encode(`${'x'.repeat(32)}\0`);
    expect([await set('flow_mode', 5, 0, long.slice(0, 32)), await set('flow_mode', 5, 0, long), await set('flow_mode', 5, 0, long.slice(1))]).toEqual(['EINVAL', 'EINVAL', 'ok']);
    kernel.toy.failing.add('param_set');
    expect(await set('toy_u16', 2, 2, Uint8Array.of(1, 0))).toBe('EIO: toy_devlink: param_set fails');
    expect((await tool.params()).find((p) => p.name === 'toy_u16')?.values.get(2)).toEqual(Uint8Array.of(7, 0));
  }));
});

describe('a reload', () => {
  const reload = (tool: Tool, action: number | null, limits: readonly [number, number] | null): Promise<string> => tool.result(uapi.DEVLINK_CMD_RELOAD, (b) => {
    if (action !== null) b.putU8(uapi.DEVLINK_ATTR_RELOAD_ACTION, action);
    if (limits !== null) b.put(uapi.DEVLINK_ATTR_RELOAD_LIMITS, uapi.nla_bitfield32.encode({ value: limits[0], selector: limits[1] }));
  });

  test('takes one action and one limit that go together', () => kernel.tool(async (tool) => {
    expect(await reload(tool, null, [2, 4])).toBe('EINVAL: devlink: Invalid limit selected');
    expect(await reload(tool, null, [6, 6])).toBe('EOPNOTSUPP: devlink: Multiselection of limit is not supported');
    expect(await reload(tool, null, [1, 1])).toBe('EOPNOTSUPP: devlink: Requested limit is not supported by the driver');
    expect(await reload(tool, 1, [2, 2])).toBe('EINVAL: devlink: Requested limit is invalid for this action');
    expect([await reload(tool, 3, null), await reload(tool, 2, [2, 2])]).toEqual(['ERANGE: integer out of range', 'ok']);
    expect(kernel.toy.log).toEqual(['reload_down false 2 1', 'reload_up 2 1 vnet=false']);
  }));

  test('whose second half fails leaves a mark until one succeeds; whose first half fails leaves none', () => kernel.tool(async (tool) => {
    const failed = async (): Promise<number | undefined> => (await tool.dump(uapi.DEVLINK_CMD_GET))[0]?.get(uapi.DEVLINK_ATTR_RELOAD_FAILED)?.[0];
    kernel.toy.failing.add('reload_down');
    expect([await tool.reload(), await failed()]).toEqual(['EIO: toy_devlink: reload_down fails', 0]);
    kernel.toy.failing.delete('reload_down');
    kernel.toy.failing.add('reload_up');
    expect([await tool.reload(), await failed()]).toEqual(['EIO: toy_devlink: reload_up fails', 1]);
    kernel.toy.failing.clear();
    expect([await tool.reload(), await failed()]).toEqual(['ok', 0]);
  }));

  test('keeps the instance, and other requests to it wait; those to another do not', async () => {
    const order: string[] = [];
    kernel.toy.whileDown = async () => {
      order.push('down');
      await kernel.k.msleep(10);
      order.push('up');
    };
    const proc = kernel.k.process_create('tool');
    kernel.spawn('reload', () => kernel.ask(proc, async (tool) => void order.push(`reload ${await tool.reload()}`)));
    kernel.spawn('others', async () => {
      await kernel.k.msleep(1);
      await kernel.ask(proc, async (tool) => void order.push(`other ${await tool.result(uapi.DEVLINK_CMD_GET)}`), 'toy/toy1');
      await kernel.ask(proc, async (tool) => void order.push(`same ${await tool.result(uapi.DEVLINK_CMD_GET)}`));
    });
    kernel.spawn('rmmod', async () => {
      await kernel.k.msleep(2);
      await kernel.rmmod('toy_devlink');
      order.push('unloaded');
    });
    await kernel.settle();
    expect(order.slice(0, 3)).toEqual(['down', 'other ok', 'up']);
    expect(order.slice(3).toSorted()).toEqual(['reload ok', 'same ok', 'unloaded']);
    expect(order.at(-1)).toBe('unloaded');
    await kernel.run(() => kernel.k.process_exit(proc));
    expect(kernel.leftovers()).toEqual([]);
  });
});

test('the group config hears of instances, ports and parameters that come, change and go', async () => {
  const { k } = kernel;
  const heard: string[] = [];
  const names = new Map([
    [uapi.DEVLINK_CMD_NEW, 'new'], [uapi.DEVLINK_CMD_DEL, 'del'], [uapi.DEVLINK_CMD_PORT_NEW, 'port-new'], [uapi.DEVLINK_CMD_PORT_DEL, 'port-del'],
    [uapi.DEVLINK_CMD_PARAM_NEW, 'param-new'], [uapi.DEVLINK_CMD_PARAM_DEL, 'param-del'],
  ]);
  await kernel.user(async (proc) => {
    const fd = await k.ksys_socket(proc, uapi.AF_NETLINK, uapi.SOCK_RAW, uapi.NETLINK_GENERIC);
    const groups = Array.from({ length: 64 }, (_, n) => n + 1);
    for (const group of groups) await k.ksys_setsockopt(proc, fd, uapi.SOL_NETLINK, uapi.NETLINK_ADD_MEMBERSHIP, Uint8Array.of(group, 0, 0, 0)).catch(() => undefined);
    const hear = async (): Promise<string[]> => {
      const out: string[] = [];
      try {
        for (;;) {
          const { bytes } = await k.ksys_recvmsg(proc, fd, 65_536, uapi.MSG_DONTWAIT);
          const cmd = uapi.genlmsghdr.decode(bytes.slice(uapi.NLMSG_HDRLEN)).cmd;
          const attrs: Attrs = new Map(uapi.nlaList(bytes.subarray(uapi.NLMSG_HDRLEN + uapi.GENL_HDRLEN)).attrs.map((a) => [a.type, a.payload]));
          const index = attrs.get(uapi.DEVLINK_ATTR_PORT_INDEX);
          out.push([names.get(cmd) ?? cmd, text(attrs, uapi.DEVLINK_ATTR_DEV_NAME), ...(index === undefined ? [] : [index[0]])].join(' '));
        }
      } catch (error) {
        if (!(error instanceof KernelError) || error.errno !== 'EAGAIN') throw error;
        return out;
      }
    };
    const tool = await DevlinkTool.open(k, proc, 'toy/toy0');
    await tool.setFlag('enable_vnet', true);
    await tool.setEswitchMode(1);
    await tool.addSf(0, 1, (b) => b.putU32(uapi.DEVLINK_ATTR_PORT_INDEX, 9));
    await tool.delPort(9);
    await tool.reload();
    heard.push(...await hear());
    await tool.close();
    await kernel.rmmod('toy_devlink');
    heard.push('--', ...await hear());
    await k.ksys_close(proc, fd);
  });
  expect(heard).toEqual([
    'param-new toy0', 'port-new toy0 9', 'port-del toy0 9', 'new toy0',
    '--', 'del toy1', ...Array.from({ length: 7 }, () => 'param-del toy0'), 'port-del toy0 3', 'port-del toy0 2', 'port-del toy0 1', 'port-del toy0 0', 'del toy0',
  ]);
});
