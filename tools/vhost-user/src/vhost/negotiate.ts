/** Requests about the device as a whole: features, owner, status. @see DPDK lib/vhost/vhost_user.c */
import { closeSync } from 'node:fs';
import { VIRTIO_CONFIG_S_DRIVER_OK, VIRTIO_CONFIG_S_FEATURES_OK } from '@vdpalab/uapi';
import { has, VHOST_F_LOG_ALL } from '../protocol/features.ts';
import { decodeU64, encodeU64 } from '../protocol/message.ts';
import * as req from '../protocol/requests.ts';
import { refuse } from '../refuse.ts';
import { takeFd, type Handler } from './session.ts';

const MTU_MIN = 68;
const MTU_MAX = 65535;
const CONFIG_HEAD = 12;
const hex = (n: bigint): string => `0x${n.toString(16)}`;

const setFeatures: Handler = async ({ dev, vdpa, payload, offered }) => {
  const features = decodeU64(payload);
  const unknown = features & ~offered.features;
  if (unknown !== 0n) {
    dev.featuresFailed = true;
    dev.status &= ~VIRTIO_CONFIG_S_FEATURES_OK;
    throw refuse('features.unknown', `features ${hex(features)}: ${hex(unknown)} was not offered`);
  }
  if (dev.configured) {
    if (features === dev.features) return undefined;
    const changed = (features ^ dev.features) & ~(1n << BigInt(VHOST_F_LOG_ALL));
    if (changed !== 0n) throw refuse('features.running', `features ${hex(changed)} cannot change while the device runs: only the log can`, 'EBUSY');
  }
  const before = dev.features;
  dev.features = features;
  dev.featuresFailed = false;
  try {
    await vdpa.ops.set_features(dev.vid);
  } catch (error) {
    dev.features = before;
    throw error;
  }
  return undefined;
};

const setProtocolFeatures: Handler = async ({ dev, payload, offered }) => {
  const features = decodeU64(payload);
  const unknown = features & ~offered.protocolFeatures;
  if (unknown !== 0n) throw refuse('protocol-features.unknown', `protocol features ${hex(features)}: ${hex(unknown)} was not offered`);
  dev.protocolFeatures = features;
  return undefined;
};

const setStatus: Handler = async (s) => {
  const { dev } = s;
  const status = decodeU64(s.payload);
  if (status > 0xffn) throw refuse('status', `status ${hex(status)} is more than 8 bits`);
  if (status === 0n) await s.stop();
  dev.status = Number(status);
  if (dev.featuresFailed && (dev.status & VIRTIO_CONFIG_S_FEATURES_OK) !== 0) dev.status &= ~VIRTIO_CONFIG_S_FEATURES_OK;
  if ((dev.status & VIRTIO_CONFIG_S_DRIVER_OK) === 0) await s.stop();
  return undefined;
};

const setMtu: Handler = async ({ dev, payload }) => {
  const mtu = decodeU64(payload);
  if (mtu < BigInt(MTU_MIN) || mtu > BigInt(MTU_MAX)) throw refuse('mtu', `an MTU of ${mtu}, not ${MTU_MIN} to ${MTU_MAX}`);
  dev.mtu = Number(mtu);
  return undefined;
};

const getConfig: Handler = async ({ dev, vdpa, payload }) => {
  const { get_config } = vdpa.ops;
  if (get_config === undefined) throw refuse('config', `${vdpa.name} has no configuration to read`, 'EOPNOTSUPP');
  const { offset, size } = configHead(payload);
  const answer = payload.slice(0, CONFIG_HEAD + size);
  answer.set(await get_config(dev.vid, offset, size), CONFIG_HEAD);
  return { payload: answer };
};

const setConfig: Handler = async ({ dev, vdpa, payload }) => {
  const { set_config } = vdpa.ops;
  if (set_config === undefined) throw refuse('config', `${vdpa.name} has no configuration to write`, 'EOPNOTSUPP');
  const { offset, size } = configHead(payload);
  await set_config(dev.vid, offset, payload.slice(CONFIG_HEAD, CONFIG_HEAD + size));
  return undefined;
};

function configHead(payload: Uint8Array): { readonly offset: number; readonly size: number } {
  const view = new DataView(payload.buffer, payload.byteOffset);
  const [offset, size] = [view.getUint32(0, true), view.getUint32(4, true)];
  if (size > payload.length - CONFIG_HEAD) throw refuse('config.size', `${size} bytes of configuration in a message with ${payload.length - CONFIG_HEAD}`);
  return { offset, size };
}

/** Requests of this file. */
export const negotiation: readonly (readonly [number, Handler])[] = [
  [req.VHOST_USER_GET_FEATURES, async ({ offered }) => ({ payload: encodeU64(offered.features) })],
  [req.VHOST_USER_SET_FEATURES, setFeatures],
  [req.VHOST_USER_GET_PROTOCOL_FEATURES, async ({ offered }) => ({ payload: encodeU64(offered.protocolFeatures) })],
  [req.VHOST_USER_SET_PROTOCOL_FEATURES, setProtocolFeatures],
  [req.VHOST_USER_GET_QUEUE_NUM, async ({ vdpa }) => ({ payload: encodeU64(vdpa.ops.get_queue_num()) })],
  [req.VHOST_USER_SET_OWNER, async ({ dev }) => {
    dev.owned = true;
    return undefined;
  }],
  [req.VHOST_USER_RESET_OWNER, async (s) => {
    await s.reset();
    return undefined;
  }],
  [req.VHOST_USER_RESET_DEVICE, async (s) => {
    await s.reset();
    return undefined;
  }],
  [req.VHOST_USER_SET_STATUS, setStatus],
  [req.VHOST_USER_GET_STATUS, async ({ dev }) => ({ payload: encodeU64(dev.status) })],
  [req.VHOST_USER_NET_SET_MTU, setMtu],
  [req.VHOST_USER_SEND_RARP, async (s) => {
    if (s.vdpa.ops.migration_done === undefined) s.log(`${s.vdpa.name} cannot announce the guest: only VIRTIO_NET_F_GUEST_ANNOUNCE can`);
    await s.vdpa.ops.migration_done?.(s.dev.vid);
    return undefined;
  }],
  [req.VHOST_USER_SET_BACKEND_REQ_FD, async (s) => {
    const fd = takeFd(s, 'SET_BACKEND_REQ_FD');
    if (s.dev.backendFd >= 0) closeSync(s.dev.backendFd);
    s.dev.backendFd = fd;
    return undefined;
  }],
  [req.VHOST_USER_GET_CONFIG, getConfig],
  [req.VHOST_USER_SET_CONFIG, setConfig],
];

/** Which protocol feature a request needs; absent: none. */
export function featureOf(request: number): number | undefined {
  return NEEDS.get(request);
}

/** Whether a request may be sent. */
export function negotiated(request: number, protocolFeatures: bigint): boolean {
  const feature = featureOf(request);
  return feature === undefined || has(protocolFeatures, feature);
}

const NEEDS: ReadonlyMap<number, number> = new Map([
  [req.VHOST_USER_NET_SET_MTU, 4], [req.VHOST_USER_SEND_RARP, 2], [req.VHOST_USER_SET_BACKEND_REQ_FD, 5], [req.VHOST_USER_SET_VRING_ENDIAN, 6],
  [req.VHOST_USER_GET_CONFIG, 9], [req.VHOST_USER_SET_CONFIG, 9], [req.VHOST_USER_GET_INFLIGHT_FD, 12], [req.VHOST_USER_SET_INFLIGHT_FD, 12],
  [req.VHOST_USER_RESET_DEVICE, 13], [req.VHOST_USER_VRING_KICK, 14], [req.VHOST_USER_GET_MAX_MEM_SLOTS, 15], [req.VHOST_USER_ADD_MEM_REG, 15],
  [req.VHOST_USER_REM_MEM_REG, 15], [req.VHOST_USER_SET_STATUS, 16], [req.VHOST_USER_GET_STATUS, 16],
]);
