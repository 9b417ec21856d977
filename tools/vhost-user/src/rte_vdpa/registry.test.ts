import { covers } from '@vdpalab/features';
import { expect, test } from 'vitest';
import { MANDATORY_OPS, type RteVdpaDevOps } from './ops.ts';
import { VdpaRegistry } from './registry.ts';

const ops: RteVdpaDevOps = {
  get_queue_num: () => 1,
  get_features: () => 0n,
  get_protocol_features: () => 0n,
  dev_conf: async () => undefined,
  dev_close: async () => undefined,
  set_vring_state: async () => undefined,
  set_features: async () => undefined,
};

test('a device without a mandatory op is not registered', () => {
  covers('3.1.1');
  const registry = new VdpaRegistry();
  for (const op of MANDATORY_OPS) {
    const { [op]: _, ...rest } = ops;
    expect(registry.rte_vdpa_register_device('0000:07:00.2', rest), op).toBeNull();
  }
  expect(registry.rte_vdpa_devices()).toEqual([]);
});

test('the same device is registered once', () => {
  covers('3.1.1', '3.1.14');
  const registry = new VdpaRegistry();
  const one = registry.rte_vdpa_register_device('0000:07:00.2', ops);
  expect(one).toMatchObject({ name: '0000:07:00.2', type: 'net' });
  expect(registry.rte_vdpa_register_device('0000:07:00.2', ops)).toBeNull();
  const two = registry.rte_vdpa_register_device('0000:07:00.3', { ...ops, get_dev_type: () => 'blk' });
  expect(two?.type).toBe('blk');
  expect(registry.rte_vdpa_find_device_by_name('0000:07:00.2')).toBe(one);
  expect(registry.rte_vdpa_find_device_by_name('0000:07:00.4')).toBeNull();
  expect(registry.rte_vdpa_devices()).toEqual([one, two]);
  registry.rte_vdpa_unregister_device(one!);
  expect(() => registry.rte_vdpa_unregister_device(one!)).toThrow(expect.objectContaining({ errno: 'ENODEV' }));
  expect(registry.rte_vdpa_register_device('0000:07:00.2', ops)).not.toBeNull();
});

test('statistics have names and values, or are not supported', async () => {
  covers('3.1.11');
  const registry = new VdpaRegistry();
  const plain = registry.rte_vdpa_register_device('a', ops)!;
  expect(() => registry.rte_vdpa_get_stats_names(plain)).toThrow(expect.objectContaining({ errno: 'EOPNOTSUPP' }));
  expect(() => registry.rte_vdpa_get_stats(plain, 0)).toThrow(expect.objectContaining({ errno: 'EOPNOTSUPP' }));
  await expect(registry.rte_vdpa_reset_stats(plain, 0)).rejects.toThrow(expect.objectContaining({ errno: 'EOPNOTSUPP' }));
  const counts = [3n, 5n];
  const counting = registry.rte_vdpa_register_device('b', {
    ...ops, get_stats_names: () => ['kicks', 'calls'], get_stats: () => counts, reset_stats: async () => void counts.fill(0n),
  })!;
  expect(registry.rte_vdpa_get_stats(counting, 0)).toEqual([{ name: 'kicks', value: 3n }, { name: 'calls', value: 5n }]);
  await registry.rte_vdpa_reset_stats(counting, 0);
  expect(registry.rte_vdpa_get_stats(counting, 0).map((s) => s.value)).toEqual([0n, 0n]);
});
