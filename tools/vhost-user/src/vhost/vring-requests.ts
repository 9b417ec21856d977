/** Requests about one ring. @see DPDK lib/vhost/vhost_user.c */
import { closeSync } from 'node:fs';
import { isEventfd } from '@vdpalab/libc';
import { VHOST_VRING_F_LOG, vring_avail_size, vring_desc_table_size, vring_used_size } from '@vdpalab/uapi';
import { has, VHOST_USER_F_PROTOCOL_FEATURES } from '../protocol/features.ts';
import { decodeState, decodeU64, decodeVringAddr, encodeState, VHOST_USER_VRING_IDX_MASK, VHOST_USER_VRING_NOFD_MASK } from '../protocol/message.ts';
import * as req from '../protocol/requests.ts';
import { refuse } from '../refuse.ts';
import { callBridge, kickBridge } from './bridge.ts';
import type { RingPlace, VhostDevice, Vring } from './device.ts';
import { takeFd, type Handler, type Session } from './session.ts';

const VRING_NUM_MAX = 32768;

/** The ring a message names. @throws EINVAL for one the device does not have */
function ring({ dev, vdpa }: Session, index: number): Vring {
  const rings = vdpa.ops.get_queue_num() * (vdpa.type === 'net' ? 2 : 1);
  if (index >= rings) throw refuse('vring.index', `ring ${index} of ${rings}`);
  return dev.vring(index);
}

/** Where a ring lies in guest memory. @returns `null` as long as memory does not cover it, or not all is said */
export function placeRing(dev: VhostDevice, { addr, num }: Vring): RingPlace | null {
  const { memory } = dev;
  if (addr === null || memory === null || num === 0) return null;
  const desc = memory.guestPhys(addr.desc, vring_desc_table_size(num));
  const avail = memory.guestPhys(addr.avail, vring_avail_size(num));
  const used = memory.guestPhys(addr.used, vring_used_size(num));
  if (desc === null || avail === null || used === null) return null;
  return { desc, avail, used, log: (addr.flags & (1 << VHOST_VRING_F_LOG)) === 0 ? null : Number(addr.log) };
}

const setNum: Handler = async (s) => {
  const { index, num } = decodeState(s.payload);
  const vring = ring(s, index);
  if (num === 0 || num > VRING_NUM_MAX || (num & (num - 1)) !== 0) throw refuse('vring.num', `ring ${index}: ${num} descriptors, not a power of two up to ${VRING_NUM_MAX}`);
  vring.num = num;
  vring.place = placeRing(s.dev, vring);
  return undefined;
};

const setAddr: Handler = async (s) => {
  const { dev } = s;
  const addr = decodeVringAddr(s.payload);
  const vring = ring(s, addr.index);
  if (dev.memory === null) throw refuse('vring.memory', `ring ${addr.index}: addresses before any memory`);
  if (addr.log > BigInt(Number.MAX_SAFE_INTEGER)) throw refuse('vring.log', `ring ${addr.index}: a log at 0x${addr.log.toString(16)}`);
  for (const [what, at, align] of [['descriptors', addr.desc, 16n], ['available ring', addr.avail, 2n], ['used ring', addr.used, 4n]] as const) {
    if (at % align !== 0n) throw refuse('vring.align', `ring ${addr.index}: ${what} at 0x${at.toString(16)}, not ${align}-byte aligned`);
  }
  const moved = vring.addr === null || vring.addr.desc !== addr.desc || vring.addr.avail !== addr.avail || vring.addr.used !== addr.used;
  if (moved && dev.configured) await s.stop();
  vring.addr = addr;
  vring.place = placeRing(dev, vring);
  // Only where it is logged has changed: that is for the log to know, and the device runs on.
  if (!moved && dev.configured) await s.vdpa.ops.set_features(dev.vid);
  return undefined;
};

const setBase: Handler = async (s) => {
  const { index, num } = decodeState(s.payload);
  const vring = ring(s, index);
  vring.lastAvail = num & 0xffff;
  vring.lastUsed = num & 0xffff;
  return undefined;
};

const getBase: Handler = async (s) => {
  const { index } = decodeState(s.payload);
  const vring = ring(s, index);
  await s.stop();
  await vring.closeBridges();
  vring.place = null;
  vring.addr = null;
  return { payload: encodeState({ index, num: vring.lastAvail }) };
};

/** What KICK, CALL and ERR say: the ring, and an eventfd or none. @throws EINVAL for what is no eventfd */
function eventOf(s: Session, what: string): { readonly vring: Vring; readonly fd: number } {
  const value = decodeU64(s.payload);
  const vring = ring(s, Number(value & BigInt(VHOST_USER_VRING_IDX_MASK)));
  if ((value & BigInt(VHOST_USER_VRING_NOFD_MASK)) !== 0n) {
    if (s.fds.length > 0) throw refuse('vring.nofd', `${what} says it has no descriptor, and has ${s.fds.length}`);
    return { vring, fd: -1 };
  }
  const fd = takeFd(s, what);
  if (isEventfd(fd)) return { vring, fd };
  s.fds.push(fd);
  throw refuse('vring.eventfd', `${what} with a descriptor that is no eventfd`);
}

const setKick: Handler = async (s) => {
  const { dev } = s;
  const { vring, fd } = eventOf(s, 'SET_VRING_KICK');
  if (fd < 0) throw refuse('vring.kick', `ring ${vring.index}: without a kick its device would have to poll`, 'EOPNOTSUPP');
  await s.stop();
  await vring.kick?.close();
  vring.kick = kickBridge(s.site, fd, s.fail);
  if (!has(dev.features, VHOST_USER_F_PROTOCOL_FEATURES)) vring.enabled = true;
  vring.place = placeRing(dev, vring);
  return undefined;
};

const setCall: Handler = async (s) => {
  const { vring, fd } = eventOf(s, 'SET_VRING_CALL');
  if (vring.call === null) vring.call = callBridge(s.site, fd);
  else vring.call.redirect(fd);
  return undefined;
};

const setEnable: Handler = async (s) => {
  const { dev, vdpa } = s;
  const { index, num } = decodeState(s.payload);
  if (num > 1) throw refuse('vring.enable', `ring ${index}: enabled ${num}, not 0 or 1`);
  const vring = ring(s, index);
  const on = num === 1;
  if (vring.enabled === on) return undefined;
  vring.enabled = on;
  if (!dev.configured) return undefined;
  try {
    await vdpa.ops.set_vring_state(dev.vid, index, on);
  } catch (error) {
    vring.enabled = !on;
    throw error;
  }
  return undefined;
};

/** Requests of this file. */
export const vringRequests: readonly (readonly [number, Handler])[] = [
  [req.VHOST_USER_SET_VRING_NUM, setNum],
  [req.VHOST_USER_SET_VRING_ADDR, setAddr],
  [req.VHOST_USER_SET_VRING_BASE, setBase],
  [req.VHOST_USER_GET_VRING_BASE, getBase],
  [req.VHOST_USER_SET_VRING_KICK, setKick],
  [req.VHOST_USER_SET_VRING_CALL, setCall],
  [req.VHOST_USER_SET_VRING_ERR, async (s) => {
    const { fd } = eventOf(s, 'SET_VRING_ERR');
    if (fd >= 0) closeSync(fd); // a device that breaks says so in its status
    return undefined;
  }],
  [req.VHOST_USER_SET_VRING_ENABLE, setEnable],
];
