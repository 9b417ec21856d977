/** What `vhosttest` asks of the queues: sizes, bases, addresses, eventfds, groups. */
import {
  VHOST_GET_VRING_BASE, VHOST_SET_VRING_ADDR, VHOST_SET_VRING_BASE, VHOST_SET_VRING_BUSYLOOP_TIMEOUT, VHOST_SET_VRING_CALL,
  VHOST_SET_VRING_ENDIAN, VHOST_SET_VRING_ERR, VHOST_SET_VRING_KICK, VHOST_SET_VRING_NUM, VHOST_VDPA_GET_VQS_COUNT,
  VHOST_VDPA_SET_CONFIG_CALL, VHOST_VDPA_SET_GROUP_ASID, VHOST_VDPA_SET_VRING_ENABLE, VHOST_VDPA_SUSPEND, VHOST_VRING_F_LOG,
} from '@vdpalab/uapi';
import { le, type Caller } from './caller.ts';
import { FEATURES } from './device.ts';

/** A descriptor that is not open. */
const CLOSED_FD = 999;

async function sizes(c: Caller, nvqs: number): Promise<void> {
  for (const num of [0, 1, 2, 3, 256, 257, 512, 65_535, 65_536]) {
    await c.vring(`SET_VRING_NUM idx 0 num ${num}`, VHOST_SET_VRING_NUM, 0, num);
  }
  await c.vring(`SET_VRING_NUM idx ${nvqs - 1}`, VHOST_SET_VRING_NUM, nvqs - 1, 64);
  await c.vring(`SET_VRING_NUM idx ${nvqs} (device has ${nvqs})`, VHOST_SET_VRING_NUM, nvqs, 64);
  await c.vring('SET_VRING_NUM idx -1', VHOST_SET_VRING_NUM, 0xffff_ffff, 64);
}

async function bases(c: Caller, nvqs: number): Promise<void> {
  for (const num of [0, 7, 65_535, 65_536]) {
    await c.vring(`SET_VRING_BASE idx 0 num ${num}`, VHOST_SET_VRING_BASE, 0, num);
    await c.vringGet('GET_VRING_BASE idx 0', VHOST_GET_VRING_BASE, 0);
  }
  await c.vring(`SET_VRING_BASE idx ${nvqs}`, VHOST_SET_VRING_BASE, nvqs);
  await c.vringGet(`GET_VRING_BASE idx ${nvqs}`, VHOST_GET_VRING_BASE, nvqs);
  await c.vring(`SET_VRING_ENABLE idx ${nvqs}`, VHOST_VDPA_SET_VRING_ENABLE, nvqs, 1);
  await c.vring('SET_VRING_ENABLE idx 0 num 7', VHOST_VDPA_SET_VRING_ENABLE, 0, 7);
}

async function addresses(c: Caller, nvqs: number): Promise<void> {
  const addr = (what: string, index: number, desc: bigint, avail: bigint, used: bigint, flags = 0, log = 0n): Promise<void> =>
    c.vringAddr(`SET_VRING_ADDR ${what}`, VHOST_SET_VRING_ADDR, index, desc, avail, used, flags, log);
  await addr('idx 0 aligned, nothing mapped', 0, 0x10000n, 0x11000n, 0x12000n);
  await addr('desc not 16-aligned', 0, 0x10008n, 0x11000n, 0x12000n);
  await addr('avail not 2-aligned', 0, 0x10000n, 0x11001n, 0x12000n);
  await addr('used not 4-aligned', 0, 0x10000n, 0x11000n, 0x12002n);
  await addr('unknown flag 2', 0, 0x10000n, 0x11000n, 0x12000n, 2);
  await addr('flag LOG', 0, 0x10000n, 0x11000n, 0x12000n, 1 << VHOST_VRING_F_LOG);
  await addr('log_guest_addr=3', 0, 0x10000n, 0x11000n, 0x12000n, 1 << VHOST_VRING_F_LOG, 3n);
  await addr(`idx ${nvqs}`, nvqs, 0x10000n, 0x11000n, 0x12000n);
  await addr('desc near 2^64', 0, 0xffff_ffff_ffff_fff0n, 0x11000n, 0x12000n);
}

async function eventfds(c: Caller, nvqs: number): Promise<void> {
  const [kick, call] = [await c.p.eventfd(), await c.p.eventfd()];
  await c.vringFile('SET_VRING_KICK fd -1', VHOST_SET_VRING_KICK, 0, -1);
  await c.vringFile('SET_VRING_CALL fd -1', VHOST_SET_VRING_CALL, 0, -1);
  await c.vringFile('SET_VRING_KICK fd not an eventfd', VHOST_SET_VRING_KICK, 0, c.fd);
  await c.vringFile('SET_VRING_KICK closed fd', VHOST_SET_VRING_KICK, 0, CLOSED_FD);
  await c.vringFile('SET_VRING_CALL closed fd', VHOST_SET_VRING_CALL, 0, CLOSED_FD);
  await c.vringFile('SET_VRING_ERR closed fd', VHOST_SET_VRING_ERR, 0, CLOSED_FD);
  await c.vringFile('SET_VRING_KICK eventfd', VHOST_SET_VRING_KICK, 0, kick);
  await c.vringFile('SET_VRING_CALL eventfd', VHOST_SET_VRING_CALL, 0, call);
  await c.vringFile(`SET_VRING_KICK idx ${nvqs}`, VHOST_SET_VRING_KICK, nvqs, kick);
  await c.set('SET_CONFIG_CALL closed fd', VHOST_VDPA_SET_CONFIG_CALL, le(CLOSED_FD, 4));
  await c.set('SET_CONFIG_CALL eventfd', VHOST_VDPA_SET_CONFIG_CALL, le(call, 4));
  await c.set('SET_CONFIG_CALL -1', VHOST_VDPA_SET_CONFIG_CALL, le(-1, 4));
}

async function running(c: Caller): Promise<void> {
  c.say('   after DRIVER_OK');
  await c.setStatus(0);
  await c.run(FEATURES);
  await c.vring('SET_VRING_NUM after DRIVER_OK', VHOST_SET_VRING_NUM, 0, 64);
  await c.vring('SET_VRING_BASE after DRIVER_OK', VHOST_SET_VRING_BASE, 0, 5);
  await c.vring('SET_VRING_ENABLE 1 after DRIVER_OK', VHOST_VDPA_SET_VRING_ENABLE, 0, 1);
  await c.vring('SET_VRING_NUM after DRIVER_OK and enable', VHOST_SET_VRING_NUM, 0, 128);
  await c.raw('VDPA_SUSPEND after DRIVER_OK', VHOST_VDPA_SUSPEND);
  await c.showStatus('after suspend');
  await c.raw('VDPA_SUSPEND twice', VHOST_VDPA_SUSPEND);
  await c.vringGet('GET_VRING_BASE after suspend', VHOST_GET_VRING_BASE, 0);
}

export async function vrings(c: Caller): Promise<void> {
  const nvqs = await c.number(VHOST_VDPA_GET_VQS_COUNT, 4);
  await c.setFeatures(FEATURES);
  await sizes(c, nvqs);
  await bases(c, nvqs);
  await addresses(c, nvqs);
  await eventfds(c, nvqs);
  await c.vring('SET_VRING_ENDIAN', VHOST_SET_VRING_ENDIAN, 0);
  await c.vring('SET_VRING_BUSYLOOP_TIMEOUT', VHOST_SET_VRING_BUSYLOOP_TIMEOUT, 0, 50);
  await running(c);
}

export async function groups(c: Caller): Promise<void> {
  await c.reset();
  for (const group of [0, 1, 2, 3]) {
    for (const asid of [0, 1, 2]) await c.vring(`SET_GROUP_ASID group ${group} asid ${asid}`, VHOST_VDPA_SET_GROUP_ASID, group, asid);
  }
  await c.run(FEATURES);
  await c.vring('SET_GROUP_ASID after DRIVER_OK', VHOST_VDPA_SET_GROUP_ASID, 0, 0);
}
