import { covers, FAKE_PARENT } from '@vdpalab/testing';
import type { FakeParentOptions } from '@vdpalab/testing';
import * as uapi from '@vdpalab/uapi';
import type { NlaBuilder } from '@vdpalab/uapi';
import { expect, test } from 'vitest';
import { bootVdpa, plainDevice } from './testing/kernel.ts';

const NET_MASK = (1n << 10n) | (1n << 12n) | (1n << 13n) | (1n << 20n); // MAC, max_vqp, MTU, features
const mac = (b: NlaBuilder) => b.put(uapi.VDPA_ATTR_DEV_NET_CFG_MACADDR, Uint8Array.of(0x52, 0x54, 0, 1, 2, 3));
const mtu = (value: number) => (b: NlaBuilder) => b.putU16(uapi.VDPA_ATTR_DEV_NET_CFG_MTU, value);
const vqp = (value: number) => (b: NlaBuilder) => b.putU16(uapi.VDPA_ATTR_DEV_NET_CFG_MAX_VQP, value);
const features = (value: bigint) => (b: NlaBuilder) => b.putU64(uapi.VDPA_ATTR_DEV_FEATURES, value);
const named = (name: string) => (b: NlaBuilder) => b.putString(uapi.VDPA_ATTR_DEV_NAME, name);
const text = (bytes: Uint8Array | undefined): string => String.fromCharCode(...(bytes ?? []).slice(0, -1));
const number = (bytes: Uint8Array | undefined): number => [...bytes ?? []].reduceRight((n, byte) => n * 256 + byte, 0);

test('dev add checks the attributes, then the manager, then what it takes, then the name', async () => {
  covers('2.3.5', '2.3.6');
  const add = async (options: FakeParentOptions, mgmtdev: string, ...more: ((b: NlaBuilder) => void)[]) => {
    const kernel = await bootVdpa(options, { kernel: '6.12' });
    return await kernel.tool((tool) => tool.add('x', mgmtdev, (b) => more.forEach((fill) => fill(b))));
  };
  const unknown = 'ENODEV: vdpa: Fail to find the specified management device';
  const plain = {};
  const all = { config_attr_mask: NET_MASK };
  const none = 'EOPNOTSUPP: vdpa: All provided attributes are not supported';
  expect(await add(plain, 'nosuch', vqp(0))).toBe('EINVAL: vdpa: At least one pair of VQs is required');
  expect(await add(plain, 'nosuch', mac)).toBe(unknown);
  expect(await add(plain, `pci/${FAKE_PARENT}`)).toBe(unknown); // a handle with a bus is not that of a manager without
  for (const attr of [mac, mtu(1500), vqp(2)]) expect(await add(plain, FAKE_PARENT, attr)).toBe(none);
  expect(await add(all, FAKE_PARENT, mtu(67))).toBe('ERANGE: integer out of range');
  expect(await add(all, FAKE_PARENT, mac, mtu(68))).toBe('ok');
  expect(await add({ ...all, device_id: 2 }, FAKE_PARENT, mac)).toBe('EINVAL: vdpa: Network class attributes provided on unsupported management device');
  // features given with settings they do not permit
  expect(await add(all, FAKE_PARENT, mac, mtu(68), vqp(2), features(0n))).toBe('EINVAL: vdpa: Missing features 0x400028 for provided attributes');
  expect(await add(all, FAKE_PARENT, vqp(1), features(0n))).toBe('ok');
  expect(await add(all, FAKE_PARENT, mac, features(1n << 5n))).toBe('ok');
  expect(await add({ ...all, id_table: [1, 2] }, FAKE_PARENT, features(1n << 5n)))
    .toBe('EINVAL: vdpa: Management device supports multi-class while device features specified are ambiguous');
  expect(await add({ ...all, id_table: [1, 2] }, FAKE_PARENT, features(1n << 33n))).toBe('ok');

  const kernel = await bootVdpa(plain);
  await kernel.tool(async (tool) => {
    expect((await tool.request(uapi.VDPA_CMD_DEV_NEW, (b) => b.putString(uapi.VDPA_ATTR_MGMTDEV_DEV_NAME, FAKE_PARENT))).result).toBe('EINVAL');
    expect((await tool.request(uapi.VDPA_CMD_DEV_NEW, named('x'))).result).toContain('EINVAL');
    expect([await tool.add('vdpa0', FAKE_PARENT), await tool.add('vdpa0', FAKE_PARENT)]).toEqual(['ok', 'EEXIST']);
    expect(await tool.add('', FAKE_PARENT)).toBe('EINVAL');
  });
  await kernel.tool(async (tool) => {
    expect([await tool.add('y', FAKE_PARENT), await tool.del('vdpa0')]).toEqual(['EPERM', 'EPERM']);
    expect((await tool.dump(uapi.VDPA_CMD_DEV_GET)).messages.length).toBe(1); // anybody may look
  }, { caps: [] });
  expect(await kernel.gone()).toEqual([]);
});

test('a slash in a name becomes an exclamation mark, and only that finds the device again', async () => {
  const kernel = await bootVdpa();
  await kernel.tool(async (tool) => {
    expect(await tool.add('a/b', FAKE_PARENT)).toBe('ok');
    expect(kernel.k.bus_devices(kernel.bus).map((dev) => dev.name)).toEqual(['a!b']);
    expect([await tool.del('a/b'), await tool.del('a!b')]).toEqual(['ENODEV: vdpa: device not found', 'ok']);
    for (const name of ['.', 'with space', 'n'.repeat(300)]) expect([await tool.add(name, FAKE_PARENT), await tool.del(name)]).toEqual(['ok', 'ok']);
  });
  expect(await kernel.gone()).toEqual([]);
});

test('dev del: unknown names, and devices nobody manages', async () => {
  covers('2.3.7');
  const kernel = await bootVdpa();
  const { k } = kernel;
  await kernel.tool(async (tool) => {
    expect(await tool.del('nosuch')).toBe('ENODEV: vdpa: device not found');
    expect((await tool.request(uapi.VDPA_CMD_DEV_DEL)).result).toBe('EINVAL');
    await tool.add('vdpa0', FAKE_PARENT);
    expect([await tool.del('vdpa0'), await tool.del('vdpa0')]).toEqual(['ok', 'ENODEV: vdpa: device not found']);
    // one registered without management
    const dma_dev = await plainDevice(kernel, 'plain');
    await tool.add('vdpa0', FAKE_PARENT);
    const { config } = k.dev_to_vdpa(k.bus_devices(kernel.bus)[0] as never); // there is one
    const { free: _, ...ops } = config;
    const own = await k.__vdpa_alloc_device({ parent: dma_dev, dma_dev, config: ops, ngroups: 1, nas: 1, priv: null, name: 'own' });
    await k.vdpa_register_device(own, 1);
    expect(await tool.del('own')).toBe('EINVAL: vdpa: Only user created device can be deleted by user');
    expect((await tool.request(uapi.VDPA_CMD_DEV_GET, named('own'))).result).toBe('EINVAL');
    expect((await tool.request(uapi.VDPA_CMD_DEV_CONFIG_GET, named('own'))).result).toBe('EINVAL: vdpa: unmanaged vdpa device');
    expect((await tool.dump(uapi.VDPA_CMD_DEV_GET)).messages.map((m) => text(m.get(uapi.VDPA_ATTR_DEV_NAME)))).toEqual(['vdpa0']);
    await k.vdpa_unregister_device(own);
    await k.device_unregister(dma_dev);
    await tool.del('vdpa0');
  });
  expect(await kernel.gone()).toEqual([]);
});

test('mgmtdev show: handle, classes, queues and features; oldest first', async () => {
  covers('2.3.3', '2.3.4');
  const kernel = await bootVdpa();
  await kernel.tool(async (tool) => {
    const one = (name: string, bus?: string) => tool.request(uapi.VDPA_CMD_MGMTDEV_GET, (b) => {
      if (bus !== undefined) b.putString(uapi.VDPA_ATTR_MGMTDEV_BUS_NAME, bus);
      b.putString(uapi.VDPA_ATTR_MGMTDEV_DEV_NAME, name);
    });
    const { messages: [m] } = await one(FAKE_PARENT);
    expect(m?.has(uapi.VDPA_ATTR_MGMTDEV_BUS_NAME)).toBe(false);
    expect([
      text(m?.get(uapi.VDPA_ATTR_MGMTDEV_DEV_NAME)), number(m?.get(uapi.VDPA_ATTR_MGMTDEV_SUPPORTED_CLASSES)),
      number(m?.get(uapi.VDPA_ATTR_DEV_MGMTDEV_MAX_VQS)), number(m?.get(uapi.VDPA_ATTR_DEV_SUPPORTED_FEATURES)),
    ]).toEqual([FAKE_PARENT, 2, 3, 0x3_0882_0028]);
    const unknown = 'ENODEV: vdpa: Fail to find the specified mgmt device';
    expect([(await one('nosuch')).result, (await one(FAKE_PARENT, 'pci')).result]).toEqual([unknown, unknown]);
    expect((await tool.request(uapi.VDPA_CMD_MGMTDEV_GET)).result).toBe('EINVAL: vdpa: Fail to find the specified mgmt device');
    const { k } = kernel;
    const device = await plainDevice(kernel, 'second');
    const second = {
      device, id_table: [2], config_attr_mask: 0n, supported_features: 0n, max_supported_vqs: 0, priv: null,
      ops: { dev_add: async () => undefined, dev_del: async () => undefined },
    };
    await k.vdpa_mgmtdev_register(second);
    expect((await tool.dump(uapi.VDPA_CMD_MGMTDEV_GET)).messages.map((x) => text(x.get(uapi.VDPA_ATTR_MGMTDEV_DEV_NAME)))).toEqual([FAKE_PARENT, 'second']);
    await k.vdpa_mgmtdev_unregister(second);
    await k.device_unregister(device);
  });
  expect(await kernel.gone()).toEqual([]);
});

test('a management device needs dev_add and dev_del; when it goes, its devices go first', async () => {
  covers('2.3.1', '2.3.2');
  const kernel = await bootVdpa();
  const { k } = kernel;
  await kernel.tool(async (tool) => {
    const device = await plainDevice(kernel, 'half');
    const half = { device, ops: { dev_add: async () => undefined }, id_table: [1], config_attr_mask: 0n, supported_features: 0n, max_supported_vqs: 1, priv: null };
    await expect(k.vdpa_mgmtdev_register(half as never)).rejects.toMatchObject({ errno: 'EINVAL' }); // half a table on purpose
    expect(k.vdpa_mgmtdevs().length).toBe(1);
    await k.device_unregister(device);
    await tool.add('vdpa0', FAKE_PARENT);
    await tool.add('vdpa1', FAKE_PARENT);
  });
  expect(await kernel.gone()).toEqual([]);
  expect([kernel.parent.devices.size, k.vdpa_mgmtdevs().length, k.bus_devices(kernel.bus).length]).toEqual([0, 0, 0]);
});

test('dev show: one device, or all in the order they were added', async () => {
  covers('2.3.8');
  const kernel = await bootVdpa({ num_min: 2 });
  await kernel.tool(async (tool) => {
    for (const name of ['vdpa0', 'b', 'a']) await tool.add(name, FAKE_PARENT);
    const { messages: [m] } = await tool.request(uapi.VDPA_CMD_DEV_GET, named('vdpa0'));
    expect([
      text(m?.get(uapi.VDPA_ATTR_DEV_NAME)), text(m?.get(uapi.VDPA_ATTR_MGMTDEV_DEV_NAME)), number(m?.get(uapi.VDPA_ATTR_DEV_ID)),
      number(m?.get(uapi.VDPA_ATTR_DEV_VENDOR_ID)), number(m?.get(uapi.VDPA_ATTR_DEV_MAX_VQS)), number(m?.get(uapi.VDPA_ATTR_DEV_MAX_VQ_SIZE)),
      number(m?.get(uapi.VDPA_ATTR_DEV_MIN_VQ_SIZE)),
    ]).toEqual(['vdpa0', FAKE_PARENT, 1, 0, 3, 256, 2]);
    expect((await tool.dump(uapi.VDPA_CMD_DEV_GET)).messages.map((x) => text(x.get(uapi.VDPA_ATTR_DEV_NAME)))).toEqual(['vdpa0', 'b', 'a']);
    expect((await tool.request(uapi.VDPA_CMD_DEV_GET, named('c'))).result).toBe('ENODEV: vdpa: device not found');
    expect((await tool.request(uapi.VDPA_CMD_DEV_GET)).result).toBe('EINVAL');
    for (const name of ['vdpa0', 'b', 'a']) await tool.del(name);
  });
  expect(await kernel.gone()).toEqual([]);
});

test('dev config show: a device that refuses features 0 is shown; negotiated features from FEATURES_OK on; status always', async () => {
  covers('2.3.9', '2.3.12', '2.1.13');
  const kernel = await bootVdpa();
  await kernel.tool(async (tool) => {
    await tool.add('vdpa0', FAKE_PARENT);
    const show = async () => (await tool.request(uapi.VDPA_CMD_DEV_CONFIG_GET, named('vdpa0'))).messages[0];
    const m = await show();
    expect([...m?.get(uapi.VDPA_ATTR_DEV_NET_CFG_MACADDR) ?? []]).toEqual([0x52, 0x54, 0, 0x12, 0x34, 0x56]);
    expect([number(m?.get(uapi.VDPA_ATTR_DEV_NET_CFG_MTU)), number(m?.get(uapi.VDPA_ATTR_DEV_NET_STATUS))]).toEqual([1500, 1]);
    expect([m?.has(uapi.VDPA_ATTR_DEV_NEGOTIATED_FEATURES), m?.has(uapi.VDPA_ATTR_DEV_NET_CFG_MAX_VQP)]).toEqual([false, false]);
    const device = kernel.parent.devices.get('vdpa0');
    Object.assign(device ?? {}, { status: 0xb, driver_features: 0x3_0000_0028n });
    expect(number((await show())?.get(uapi.VDPA_ATTR_DEV_NEGOTIATED_FEATURES))).toBe(0x3_0000_0028);
    expect(kernel.parent.calls.take().filter((call) => call.startsWith('set_driver_features'))).toEqual(['set_driver_features 0']); // once
    await tool.del('vdpa0');
  });
  const bare = await bootVdpa({ features: 1n << 22n });
  await bare.tool(async (tool) => {
    await tool.add('vdpa0', FAKE_PARENT);
    const { messages: [m] } = await tool.request(uapi.VDPA_CMD_DEV_CONFIG_GET, named('vdpa0'));
    expect([m?.has(uapi.VDPA_ATTR_DEV_NET_CFG_MACADDR), m?.has(uapi.VDPA_ATTR_DEV_NET_CFG_MTU), m?.has(uapi.VDPA_ATTR_DEV_NET_CFG_MAX_VQP)])
      .toEqual([false, false, true]);
  });
});

test('dev config show of a block device is EOPNOTSUPP, and ends a dump without a word', async () => {
  covers('2.3.9');
  const kernel = await bootVdpa({ device_id: 2 });
  await kernel.tool(async (tool) => {
    await tool.add('blk0', FAKE_PARENT);
    expect((await tool.request(uapi.VDPA_CMD_DEV_CONFIG_GET, named('blk0'))).result).toBe('EOPNOTSUPP');
    expect(await tool.dump(uapi.VDPA_CMD_DEV_CONFIG_GET)).toEqual({ result: 'ok', messages: [] });
    expect((await tool.request(uapi.VDPA_CMD_DEV_CONFIG_GET, named('nosuch'))).result).toBe('ENODEV: vdpa: device not found');
    await tool.del('blk0');
  });
});

test('dev config show of a block device, of a later release, has what its features give', async () => {
  covers('2.3.13');
  const config = uapi.virtio_blk_config.encode({
    capacity: 0x1_2345_6789n, size_max: 0x11223344, seg_max: 126, blk_size: 4096, physical_block_exp: 3, alignment_offset: 1, min_io_size: 0x1234,
    opt_io_size: 0x56789abc, num_queues: 0x0102, max_discard_sectors: 0x2001, max_discard_seg: 33, discard_sector_alignment: 64,
    max_write_zeroes_sectors: 0x4003, max_write_zeroes_seg: 17,
  });
  const all = [uapi.VIRTIO_BLK_F_SIZE_MAX, uapi.VIRTIO_BLK_F_SEG_MAX, uapi.VIRTIO_BLK_F_BLK_SIZE, uapi.VIRTIO_BLK_F_TOPOLOGY, uapi.VIRTIO_BLK_F_MQ, uapi.VIRTIO_BLK_F_DISCARD, uapi.VIRTIO_BLK_F_WRITE_ZEROES, uapi.VIRTIO_BLK_F_RO, uapi.VIRTIO_BLK_F_FLUSH];
  /** Attributes of the reply by number, from the features on: value and bytes. */
  const shown = async (features: readonly number[]): Promise<Record<number, readonly number[]>> => {
    const kernel = await bootVdpa({ device_id: 2, config, features: features.reduce((word, bit) => word | (1n << BigInt(bit)), 0n) }, { kernel: '6.12' });
    return kernel.tool(async (tool) => {
      await tool.add('blk0', FAKE_PARENT);
      const { messages: [m] } = await tool.request(uapi.VDPA_CMD_DEV_CONFIG_GET, named('blk0'));
      expect((await tool.dump(uapi.VDPA_CMD_DEV_CONFIG_GET)).messages).toHaveLength(1);
      await tool.del('blk0');
      return Object.fromEntries([...m ?? []].filter(([attr]) => attr >= uapi.VDPA_ATTR_DEV_FEATURES).map(([attr, bytes]) => [attr, [number(bytes), bytes.length]]));
    });
  };
  const always = { [uapi.VDPA_ATTR_DEV_BLK_CFG_CAPACITY]: [0x1_2345_6789, 8], [uapi.VDPA_ATTR_DEV_BLK_READ_ONLY]: [0, 1], [uapi.VDPA_ATTR_DEV_BLK_FLUSH]: [0, 1] };
  expect(await shown([])).toEqual({ ...always, [uapi.VDPA_ATTR_DEV_FEATURES]: [0, 8] });
  expect(await shown([uapi.VIRTIO_BLK_F_MQ])).toEqual({ ...always, [uapi.VDPA_ATTR_DEV_FEATURES]: [0x1000, 8], [uapi.VDPA_ATTR_DEV_BLK_CFG_NUM_QUEUES]: [0x0102, 2] });
  expect(await shown(all)).toEqual({
    [uapi.VDPA_ATTR_DEV_FEATURES]: [0x7666, 8], [uapi.VDPA_ATTR_DEV_BLK_CFG_CAPACITY]: [0x1_2345_6789, 8], [uapi.VDPA_ATTR_DEV_BLK_CFG_SIZE_MAX]: [0x11223344, 4],
    [uapi.VDPA_ATTR_DEV_BLK_CFG_BLK_SIZE]: [4096, 4], [uapi.VDPA_ATTR_DEV_BLK_CFG_SEG_MAX]: [126, 4], [uapi.VDPA_ATTR_DEV_BLK_CFG_NUM_QUEUES]: [0x0102, 2],
    [uapi.VDPA_ATTR_DEV_BLK_CFG_PHY_BLK_EXP]: [3, 1], [uapi.VDPA_ATTR_DEV_BLK_CFG_ALIGN_OFFSET]: [1, 1], [uapi.VDPA_ATTR_DEV_BLK_CFG_MIN_IO_SIZE]: [0x1234, 2],
    [uapi.VDPA_ATTR_DEV_BLK_CFG_OPT_IO_SIZE]: [0x56789abc, 4], [uapi.VDPA_ATTR_DEV_BLK_CFG_MAX_DISCARD_SEC]: [0x2001, 4],
    [uapi.VDPA_ATTR_DEV_BLK_CFG_MAX_DISCARD_SEG]: [33, 4], [uapi.VDPA_ATTR_DEV_BLK_CFG_DISCARD_SEC_ALIGN]: [64, 4],
    [uapi.VDPA_ATTR_DEV_BLK_CFG_MAX_WRITE_ZEROES_SEC]: [0x4003, 4], [uapi.VDPA_ATTR_DEV_BLK_CFG_MAX_WRITE_ZEROES_SEG]: [17, 4],
    [uapi.VDPA_ATTR_DEV_BLK_READ_ONLY]: [1, 1], [uapi.VDPA_ATTR_DEV_BLK_FLUSH]: [1, 1],
  });
});

test('vstats: class, index, op, negotiation and the parent are asked in this order', async () => {
  covers('2.3.10');
  const stats = async (options: FakeParentOptions, index: number | null, status = 0xb) => {
    const kernel = await bootVdpa(options);
    return await kernel.tool(async (tool) => {
      await tool.add('vdpa0', FAKE_PARENT);
      Object.assign(kernel.parent.devices.get('vdpa0') ?? {}, { status });
      const answer = await tool.request(uapi.VDPA_CMD_DEV_VSTATS_GET, (b) => {
        b.putString(uapi.VDPA_ATTR_DEV_NAME, 'vdpa0');
        if (index !== null) b.putU32(uapi.VDPA_ATTR_DEV_QUEUE_INDEX, index);
      });
      await tool.del('vdpa0');
      return answer;
    });
  };
  const having = ['get_vendor_vq_stats'];
  expect((await stats({}, null)).result).toBe('EINVAL');
  expect((await stats({ device_id: 2 }, 0x8001)).result).toBe('EOPNOTSUPP');
  expect((await stats({}, 0x8001)).result).toBe('ERANGE: vdpa: queue index exceeds max value');
  expect((await stats({}, 9)).result).toBe('EOPNOTSUPP');
  expect((await stats({ having }, 9, 3)).result).toBe('EAGAIN: vdpa: feature negotiation not complete');
  expect((await stats({ having }, 9)).result).toBe('EINVAL');
  const { result, messages: [m] } = await stats({ having }, 1);
  expect([result, number(m?.get(uapi.VDPA_ATTR_DEV_QUEUE_INDEX)), m?.has(uapi.VDPA_ATTR_DEV_VENDOR_ATTR_VALUE)]).toEqual(['ok', 1, true]);
  const kernel = await bootVdpa({ having });
  await kernel.tool(async (tool) => {
    expect((await tool.request(uapi.VDPA_CMD_DEV_VSTATS_GET, (b) => {
      b.putString(uapi.VDPA_ATTR_DEV_NAME, 'x');
      b.putU32(uapi.VDPA_ATTR_DEV_QUEUE_INDEX, 0);
    })).result).toBe('EPERM');
  }, { caps: [] });
});

test('dev set, which 6.1 does not know, takes a unicast address of a network device, where the manager can', async () => {
  covers('2.3.11');
  const old = await bootVdpa();
  await old.tool(async (tool) => expect((await tool.request(uapi.VDPA_CMD_DEV_ATTR_SET)).result).toBe('EOPNOTSUPP'));
  const kernel = await bootVdpa({}, { kernel: '6.12' });
  const { k } = kernel;
  const set: Uint8Array[] = [];
  const having = async (dev_set_attr: boolean, id: number): Promise<void> => {
    const [manager] = k.vdpa_mgmtdevs();
    Object.assign(manager ?? {}, { id_table: [id] });
    Object.assign(manager?.ops ?? {}, { dev_set_attr: dev_set_attr ? async (...[, , { net }]: [unknown, unknown, { net: { mac: Uint8Array } }]) => void set.push(net.mac) : undefined });
  };
  await kernel.tool(async (tool) => {
    await tool.add('vdpa0', FAKE_PARENT);
    const change = async (address: number[] | null, name = 'vdpa0') => (await tool.request(uapi.VDPA_CMD_DEV_ATTR_SET, (b) => {
      named(name)(b);
      if (address !== null) b.put(uapi.VDPA_ATTR_DEV_NET_CFG_MACADDR, Uint8Array.from(address));
    })).result;
    const good = [2, 0, 0, 0, 0, 1];
    expect([await change(good, 'nosuch'), (await tool.request(uapi.VDPA_CMD_DEV_ATTR_SET)).result]).toEqual(['ENODEV: vdpa: device not found', 'EINVAL']);
    await having(false, 1);
    expect(await change(good)).toBe('EOPNOTSUPP: vdpa: vdpa0 device does not support changing the MAC address');
    await having(true, 1);
    expect([await change(null), await change([1, 0, 0, 0, 0, 1]), await change([0, 0, 0, 0, 0, 0])]).toEqual(['EOPNOTSUPP', 'EOPNOTSUPP', 'EOPNOTSUPP']);
    expect([await change(good.slice(0, 5)), await change([...good, 7])]).toEqual(['ERANGE: binary attribute size out of range', 'ERANGE: binary attribute size out of range']);
    expect([await change(good), set.map((bytes) => [...bytes])]).toEqual(['ok', [good]]);
    await having(true, 2);
    expect(await change(good)).toBe('EINVAL: vdpa: vdpa0 device not supported');
    await having(true, 1);
    await tool.del('vdpa0');
  });
  await kernel.tool(async (tool) => {
    expect((await tool.request(uapi.VDPA_CMD_DEV_ATTR_SET, named('vdpa0'))).result).toBe('EPERM');
  }, { caps: [] });
  expect(await kernel.gone()).toEqual([]);
});

test('every attribute is told with its width', async () => {
  covers('2.3.14');
  const kernel = await bootVdpa({ having: ['get_vendor_vq_stats'], config_attr_mask: NET_MASK });
  await kernel.tool(async (tool) => {
    expect(await tool.add('vdpa0', FAKE_PARENT, features(1n << 33n))).toBe('ok'); // provisioned
    Object.assign(kernel.parent.devices.get('vdpa0') ?? {}, { status: 0xb });
    const widths = async (cmd: number, fill: (b: NlaBuilder) => void, ...attrs: number[]): Promise<(number | undefined)[]> => {
      const { messages: [m] } = await tool.request(cmd, fill);
      return attrs.map((attr) => m?.get(attr)?.length);
    };
    const queue = (b: NlaBuilder) => {
      named('vdpa0')(b);
      b.putU32(uapi.VDPA_ATTR_DEV_QUEUE_INDEX, 1);
    };
    const manager = (b: NlaBuilder) => b.putString(uapi.VDPA_ATTR_MGMTDEV_DEV_NAME, FAKE_PARENT);
    expect(await widths(uapi.VDPA_CMD_MGMTDEV_GET, manager, uapi.VDPA_ATTR_MGMTDEV_SUPPORTED_CLASSES, uapi.VDPA_ATTR_DEV_MGMTDEV_MAX_VQS, uapi.VDPA_ATTR_DEV_SUPPORTED_FEATURES)).toEqual([8, 4, 8]);
    expect(await widths(uapi.VDPA_CMD_DEV_GET, named('vdpa0'), uapi.VDPA_ATTR_DEV_MIN_VQ_SIZE, uapi.VDPA_ATTR_DEV_MAX_VQ_SIZE, uapi.VDPA_ATTR_DEV_MAX_VQS)).toEqual([2, 2, 4]);
    expect(await widths(uapi.VDPA_CMD_DEV_CONFIG_GET, named('vdpa0'), uapi.VDPA_ATTR_DEV_NEGOTIATED_FEATURES, uapi.VDPA_ATTR_VDPA_DEV_SUPPORTED_FEATURES)).toEqual([8, 8]);
    expect(await widths(uapi.VDPA_CMD_DEV_VSTATS_GET, queue, uapi.VDPA_ATTR_DEV_QUEUE_INDEX, uapi.VDPA_ATTR_DEV_VENDOR_ATTR_VALUE)).toEqual([4, 8]);
    await tool.del('vdpa0');
  });
  expect(await kernel.gone()).toEqual([]);
});
