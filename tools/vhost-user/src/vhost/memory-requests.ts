/** Requests about memory and the log of what was written to it. @see DPDK lib/vhost/vhost_user.c */
import { GuestMemory } from '../memory/guest-memory.ts';
import { HostFile } from '../memory/host-file.ts';
import { has, VHOST_USER_PROTOCOL_F_LOG_SHMFD } from '../protocol/features.ts';
import { decodeLog, decodeRegion, encodeU64 } from '../protocol/message.ts';
import * as req from '../protocol/requests.ts';
import { refuse } from '../refuse.ts';
import { placeRing } from './vring-requests.ts';
import { takeFd, type Handler, type Session } from './session.ts';

const PAGE_SIZE = 4096;
/** Regions that slots may hold. */
export const MEM_SLOTS = 32;

/** Memory has changed: find the rings in it again. */
function placeRings({ dev }: Session): void {
  for (const vring of dev.vrings.values()) vring.place = placeRing(dev, vring);
}

const setMemTable: Handler = async (s) => {
  const { dev } = s;
  await s.stop();
  const table = await GuestMemory.ofTable(s.site, s.payload, s.fds.splice(0));
  const before = dev.memory;
  dev.memory = table;
  await before?.unmap();
  placeRings(s);
  return undefined;
};

const addRegion: Handler = async (s) => {
  const { dev } = s;
  const fd = takeFd(s, 'ADD_MEM_REG');
  if ((dev.memory?.regions.length ?? 0) >= MEM_SLOTS) {
    s.fds.push(fd);
    throw refuse('memory.slots', `${MEM_SLOTS} slots are taken`, 'ENOSPC');
  }
  await s.stop();
  dev.memory ??= new GuestMemory();
  await dev.memory.add(s.site, decodeRegion(s.payload, req.MEMORY_HEAD_SIZE), fd);
  placeRings(s);
  return undefined;
};

const removeRegion: Handler = async (s) => {
  const { dev } = s;
  const entry = decodeRegion(s.payload, req.MEMORY_HEAD_SIZE);
  await s.stop();
  if (!(await dev.memory?.remove(entry) ?? false)) throw refuse('memory.region', `no region at guest address 0x${entry.guestPhysAddr.toString(16)} is like that`);
  placeRings(s);
  return undefined;
};

const setLogBase: Handler = async (s) => {
  const { dev } = s;
  if (!has(dev.protocolFeatures, VHOST_USER_PROTOCOL_F_LOG_SHMFD)) throw refuse('log.shmfd', 'a log without LOG_SHMFD would be in memory nobody can reach');
  const fd = takeFd(s, 'SET_LOG_BASE');
  const { size, offset } = decodeLog(s.payload);
  if (size === 0n || size > 0x1_0000_0000n || offset > BigInt(Number.MAX_SAFE_INTEGER) - size) {
    s.fds.push(fd);
    throw refuse('log.size', `a log of 0x${size.toString(16)} bytes at 0x${offset.toString(16)} of its file`);
  }
  const whole = Math.ceil(Number(size) / PAGE_SIZE) * PAGE_SIZE;
  const file = await HostFile.map(s.site, fd, Number(offset), whole);
  const before = dev.log;
  dev.log = { file, size: Number(size) };
  if (dev.configured) await s.vdpa.ops.set_features(dev.vid); // whoever logs goes on in the new place
  await before?.file.unmap();
  return { payload: encodeU64(0) };
};

/** Requests of this file. */
export const memoryRequests: readonly (readonly [number, Handler])[] = [
  [req.VHOST_USER_SET_MEM_TABLE, setMemTable],
  [req.VHOST_USER_GET_MAX_MEM_SLOTS, async () => ({ payload: encodeU64(MEM_SLOTS) })],
  [req.VHOST_USER_ADD_MEM_REG, addRegion],
  [req.VHOST_USER_REM_MEM_REG, removeRegion],
  [req.VHOST_USER_SET_LOG_BASE, setLogBase],
  [req.VHOST_USER_SET_LOG_FD, async () => undefined], // DPDK closes the descriptor too: nobody needs to be woken
];
