import { covers } from '@vdpalab/testing';
import * as uapi from '@vdpalab/uapi';
import { expect, test } from 'vitest';
import { ALL, Bench } from './testing/device.ts';
import { Failures } from './testing/failures.ts';
import { hardware, SF_MAC } from './testing/subfunction.ts';

const { bit, bits } = uapi;
type Fill = (b: uapi.NlaBuilder) => void;

const features = (wanted: bigint): Fill => (b) => void b.putU64(uapi.VDPA_ATTR_DEV_FEATURES, wanted);
const pairs = (n: number): Fill => (b) => void b.putU16(uapi.VDPA_ATTR_DEV_NET_CFG_MAX_VQP, n);
const mac = (bytes: readonly number[]): Fill => (b) => void b.put(uapi.VDPA_ATTR_DEV_NET_CFG_MACADDR, Uint8Array.from(bytes));
const mtu = (bytes: number): Fill => (b) => void b.putU16(uapi.VDPA_ATTR_DEV_NET_CFG_MTU, bytes);
const all = (...fills: readonly Fill[]): Fill => (b) => {
  for (const fill of fills) fill(b);
};
const ZERO = [0, 0, 0, 0, 0, 0];

test('the subfunction\'s part registers a management device of its own name', async () => {
  covers('2.10.7', '1.1.8');
  const b = await Bench.boot();
  const [mgmt, ...more] = b.k.vdpa_mgmtdevs();
  expect([more, mgmt?.device.name, mgmt?.device.bus?.name, mgmt?.id_table, mgmt?.max_supported_vqs]).toEqual([[], 'mlx5_core.sf.1', 'auxiliary', [1], 5]);
  expect(mgmt?.supported_features).toBe(ALL | bits(uapi.VIRTIO_NET_F_MTU, uapi.VIRTIO_NET_F_MRG_RXBUF));
  expect(await b.add()).toBe('ok');
  expect([b.vdev.dev.parent?.name, b.vdev.dma_dev.name]).toEqual(['mlx5_core.sf.1', '0000:07:00.0']);
  expect(b.hardware.system.host.functions().map((fn) => fn.bdf)).toEqual(['00:00.0', '00:01.0', '07:00.0']); // a subfunction is on no bus of PCI
  await b.del();
});

test('a device has what it was asked to have', async () => {
  const b = await Bench.boot();
  expect(await b.add(all(mac([2, 0x11, 0x22, 0x33, 0x44, 0x55]), mtu(4000), pairs(2)))).toBe('ok');
  const config = (): Uint8Array => b.vdev.config.get_config(b.vdev, 0, 24);
  expect([...config().subarray(0, 12)]).toEqual([2, 0x11, 0x22, 0x33, 0x44, 0x55, 1, 0, 2, 0, 0xa0, 0x0f]);
  expect([b.vdev.nvqs, b.vhca.mtu]).toEqual([5, 4022]);
  await b.del();
  expect(await b.add()).toBe('ok');
  expect([b.vdev.nvqs, ...config().subarray(0, 6), config()[8]]).toEqual([3, ...SF_MAC, 1]);
  await b.del();
});

test('refuses in Linux\'s order what cannot be', async () => {
  covers('2.10.8');
  const b = await Bench.boot();
  const base = ALL | bit(uapi.VIRTIO_NET_F_MTU);
  expect(await b.add()).toBe('ok');
  expect(b.vdev.config.get_device_features(b.vdev) & bit(uapi.VIRTIO_NET_F_MRG_RXBUF)).toBe(0n);
  expect(await b.add(features(1n << 50n), 'vdpa1')).toBe('ENOSPC');
  await b.del();
  expect(await b.add(all(features(bit(uapi.VIRTIO_RING_F_EVENT_IDX)), pairs(9)))).toBe('EINVAL');
  expect(await b.add(all(features(bits(uapi.VIRTIO_F_VERSION_1, uapi.VIRTIO_NET_F_MQ)), pairs(9)))).toBe('EOPNOTSUPP');
  expect(await b.add(all(pairs(3), mac(ZERO)))).toBe('EINVAL');
  expect(await b.add(all(features(base), mac(ZERO)))).toBe('EINVAL');
  expect(await b.add(mac(ZERO))).toBe('ok'); // as Linux: the feature goes instead
  expect(b.vdev.config.get_device_features(b.vdev) & bit(uapi.VIRTIO_NET_F_MAC)).toBe(0n);
  await b.del();
  expect(await b.add(features(base | bit(uapi.VIRTIO_NET_F_MRG_RXBUF)))).toBe('ok');
  expect(b.vdev.config.get_device_features(b.vdev) & bit(uapi.VIRTIO_NET_F_MRG_RXBUF)).not.toBe(0n);
  await b.del();
  expect(await (await Bench.boot(hardware({ without: ['virtio-1.0', 'split'] }))).add()).toBe('EOPNOTSUPP');
  const noSplit = await Bench.boot(hardware({ without: ['split'], queue_pairs: 0 }));
  expect(await noSplit.add(pairs(1))).toBe('EOPNOTSUPP');
  expect(noSplit.kernel.log.length).toBe(0); // the machine has its own console
  expect(await (await Bench.boot(hardware({ queue_pairs: 0 }))).add(pairs(1))).toBe('EAGAIN');
});

test('an MTU the port does not take is refused', async () => {
  const b = await Bench.boot();
  expect(await b.add(mtu(9001))).toBe('EINVAL');
  expect(await b.add(mtu(9000))).toBe('ok');
  await b.del();
});

test('an address that is in the L2 table already is refused', async () => {
  const b = await Bench.boot();
  await b.run(() => b.k.mlx5_mpfs_add_mac(b.k.pci_get_drvdata(b.pdev) as never, Uint8Array.from(SF_MAC)));
  expect(await b.add()).toBe('EEXIST');
});

test('whichever step of dev add fails, nothing is left, and the next one works', async () => {
  const failures = new Failures();
  const b = await Bench.boot(hardware(), { wrap: failures.wrap });
  const before = b.kernel.leftovers();
  const held = b.vhca.resources.size;
  const failed: string[] = [];
  for (let at = 1; ; at++) {
    failures.left = at;
    const answer = await b.add(all(mtu(2000), pairs(2)));
    const where = failures.take();
    if (where === null) {
      expect(answer).toBe('ok');
      break;
    }
    failed.push(where);
    expect([where, answer, b.kernel.leftovers(), b.vhca.resources.size, b.hardware.fn.keys.size, b.hardware.fn.l2.size]).toEqual([where, 'ENOMEM', before, held, 0, 0]);
  }
  expect(failed).toEqual([
    'mlx5_modify_nic_vport_mtu', 'mlx5_query_nic_vport_mtu', 'mlx5_query_vport_state', 'mlx5_query_nic_vport_mac_address', 'mlx5_mpfs_add_mac', 'mlx5_core_alloc_pd',
    'mlx5_cmd_exec', 'pci_iomap_range', 'mlx5_core_alloc_transport_domain', 'mlx5_core_create_tis', 'mlx5_core_create_mkey', '__vdpa_alloc_device', '_vdpa_register_device',
  ]);
  expect(await b.del()).toBe('ok');
  expect([b.kernel.leftovers(), b.vhca.resources.size, b.hardware.fn.keys.size, b.hardware.fn.l2.size]).toEqual([before, held, 0, 0]);
});
