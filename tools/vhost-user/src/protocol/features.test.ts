import { covers } from '@vdpalab/features';
import { expect, test } from 'vitest';
import * as features from './features.ts';
import * as requests from './requests.ts';

/** By number, as QEMU docs/interop/vhost-user.rst lists them. */
const PROTOCOL_FEATURES = [
  'MQ', 'LOG_SHMFD', 'RARP', 'REPLY_ACK', 'NET_MTU', 'BACKEND_REQ', 'CROSS_ENDIAN', 'CRYPTO_SESSION', 'PAGEFAULT', 'CONFIG', 'BACKEND_SEND_FD', 'HOST_NOTIFIER',
  'INFLIGHT_SHMFD', 'RESET_DEVICE', 'INBAND_NOTIFICATIONS', 'CONFIGURE_MEM_SLOTS', 'STATUS',
];
const BACKEND_REQUESTS = ['IOTLB_MSG', 'CONFIG_CHANGE_MSG', 'VRING_HOST_NOTIFIER_MSG'];

/** Constants with a prefix, in the order of their numbers. */
function numbered(constants: Readonly<Record<string, unknown>>, prefix: string): [string, unknown][] {
  return Object.entries(constants).filter(([name]) => name.startsWith(prefix)).map(([name, n]): [string, unknown] => [name.slice(prefix.length), n]).sort(([, a], [, b]) => Number(a) - Number(b));
}

test('protocol features and requests of the back-end have the numbers of the specification', () => {
  covers('3.2.3', '3.2.4');
  expect(numbered(features, 'VHOST_USER_PROTOCOL_F_')).toEqual(PROTOCOL_FEATURES.map((name, n) => [name, n]));
  expect(numbered(requests, 'VHOST_USER_BACKEND_')).toEqual(BACKEND_REQUESTS.map((name, n) => [name, n + 1]));
  expect([features.VHOST_F_LOG_ALL, features.VHOST_USER_F_PROTOCOL_FEATURES]).toEqual([26, 30]);
});
