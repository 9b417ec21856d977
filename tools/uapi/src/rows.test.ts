import { covers } from '@vdpalab/features';
import { expect, test } from 'vitest';
import * as uapi from './index.ts';

const exported: Readonly<Record<string, unknown>> = uapi;

/** The values of the constants with these names behind a prefix. */
function values(prefix: string, names: readonly string[]): unknown[] {
  return names.map((name) => exported[prefix + name]);
}

test('net attributes of the vdpa family follow the queue sizes', () => {
  const names = ['NET_CFG_MACADDR', 'NET_STATUS', 'NET_CFG_MAX_VQP', 'NET_CFG_MTU'];
  expect(values('VDPA_ATTR_DEV_', names)).toEqual([10, 11, 12, 13]);
});

test('block attributes of the vdpa family are those of later Linux', () => {
  const names = [
    'CFG_CAPACITY', 'CFG_SIZE_MAX', 'CFG_BLK_SIZE', 'CFG_SEG_MAX', 'CFG_NUM_QUEUES', 'CFG_PHY_BLK_EXP',
    'CFG_ALIGN_OFFSET', 'CFG_MIN_IO_SIZE', 'CFG_OPT_IO_SIZE', 'CFG_MAX_DISCARD_SEC', 'CFG_MAX_DISCARD_SEG',
    'CFG_DISCARD_SEC_ALIGN', 'CFG_MAX_WRITE_ZEROES_SEC', 'CFG_MAX_WRITE_ZEROES_SEG', 'READ_ONLY', 'FLUSH',
  ];
  expect(values('VDPA_ATTR_DEV_BLK_', names)).toEqual(names.map((_, i) => 21 + i));
});

test('the other attributes of the vdpa family have their numbers', () => {
  const names = [
    'MGMTDEV_SUPPORTED_CLASSES', 'DEV_MAX_VQ_SIZE', 'DEV_MIN_VQ_SIZE', 'DEV_NEGOTIATED_FEATURES',
    'DEV_MGMTDEV_MAX_VQS', 'DEV_SUPPORTED_FEATURES', 'DEV_QUEUE_INDEX', 'DEV_VENDOR_ATTR_NAME',
    'DEV_VENDOR_ATTR_VALUE', 'DEV_FEATURES',
  ];
  expect(values('VDPA_ATTR_', names)).toEqual([3, 8, 9, 14, 15, 16, 17, 18, 19, 20]);
});

test('backend feature bits count from 1 to 8', () => {
  covers('2.4.22');
  const names = [
    'IOTLB_MSG_V2', 'IOTLB_BATCH', 'IOTLB_ASID', 'SUSPEND', 'RESUME', 'ENABLE_AFTER_DRIVER_OK', 'DESC_ASID',
    'IOTLB_PERSIST',
  ];
  expect(values('VHOST_BACKEND_F_', names)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
});

test('IOTLB messages have six kinds and three permissions', () => {
  covers('2.5.2');
  const kinds = ['MISS', 'UPDATE', 'INVALIDATE', 'ACCESS_FAIL', 'BATCH_BEGIN', 'BATCH_END'];
  expect(values('VHOST_IOTLB_', kinds)).toEqual([1, 2, 3, 4, 5, 6]);
  expect(values('VHOST_ACCESS_', ['RO', 'WO', 'RW'])).toEqual([1, 2, 3]);
});

test('the device status byte has six bits', () => {
  covers('2.7.1');
  const names = ['ACKNOWLEDGE', 'DRIVER', 'DRIVER_OK', 'FEATURES_OK', 'NEEDS_RESET', 'FAILED'];
  expect(values('VIRTIO_CONFIG_S_', names)).toEqual([1, 2, 4, 8, 0x40, 0x80]);
});

test('transport feature bits lie between 24 and 41', () => {
  covers('2.7.4');
  const ring = ['RING_F_INDIRECT_DESC', 'RING_F_EVENT_IDX'];
  const transport = [
    'F_NOTIFY_ON_EMPTY', 'F_ANY_LAYOUT', 'F_VERSION_1', 'F_ACCESS_PLATFORM', 'F_RING_PACKED', 'F_IN_ORDER',
    'F_ORDER_PLATFORM', 'F_SR_IOV', 'F_NOTIFICATION_DATA', 'F_NOTIF_CONFIG_DATA', 'F_RING_RESET', 'F_ADMIN_VQ',
  ];
  expect(values('VIRTIO_', ring)).toEqual([28, 29]);
  expect(values('VIRTIO_', transport)).toEqual([24, 27, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41]);
});

test('the net control queue has classes 0 to 6 and 8', () => {
  covers('2.7.14');
  const classes = ['RX', 'MAC', 'VLAN', 'ANNOUNCE', 'MQ', 'GUEST_OFFLOADS', 'NOTF_COAL', 'STATS'];
  const commands = ['MAC_TABLE_SET', 'MAC_ADDR_SET', 'VLAN_ADD', 'VLAN_DEL', 'ANNOUNCE_ACK', 'MQ_VQ_PAIRS_SET'];
  expect(values('VIRTIO_NET_CTRL_', classes)).toEqual([0, 1, 2, 3, 4, 5, 6, 8]);
  expect(values('VIRTIO_NET_CTRL_', commands)).toEqual([0, 1, 0, 1, 0, 0]);
});

test('net devices offer these features and tell these states', () => {
  covers('2.7.15');
  const features = [
    'MTU', 'MAC', 'MRG_RXBUF', 'STATUS', 'CTRL_VQ', 'CTRL_RX', 'CTRL_VLAN', 'GUEST_ANNOUNCE', 'MQ', 'CTRL_MAC_ADDR',
  ];
  expect(values('VIRTIO_NET_F_', features)).toEqual([3, 5, 15, 16, 17, 18, 19, 21, 22, 23]);
  expect(values('VIRTIO_NET_S_', ['LINK_UP', 'ANNOUNCE'])).toEqual([1, 2]);
});

test('device features of VFIO count from the VF token to bus mastering', () => {
  covers('2.13.7');
  const names = [
    'PCI_VF_TOKEN', 'MIGRATION', 'MIG_DEVICE_STATE', 'LOW_POWER_ENTRY', 'LOW_POWER_ENTRY_WITH_WAKEUP',
    'LOW_POWER_EXIT', 'DMA_LOGGING_START', 'DMA_LOGGING_STOP', 'DMA_LOGGING_REPORT', 'MIG_DATA_SIZE', 'BUS_MASTER',
  ];
  expect(values('VFIO_DEVICE_FEATURE_', names)).toEqual(names.map((_, i) => i));
});

test('a migrating device has eight states', () => {
  covers('2.13.8');
  const names = ['ERROR', 'STOP', 'RUNNING', 'STOP_COPY', 'RESUMING', 'RUNNING_P2P', 'PRE_COPY', 'PRE_COPY_P2P'];
  expect(values('VFIO_DEVICE_STATE_', names)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
});
