/** What `vhosttest` asks of the device: ioctls before and after SET_OWNER, status, features, configuration. */
import {
  O_RDONLY, O_RDWR, SEEK_SET, VHOST_GET_BACKEND_FEATURES, VHOST_GET_FEATURES, VHOST_GET_VRING_BASE, VHOST_IOTLB_UPDATE,
  VHOST_RESET_OWNER, VHOST_SET_LOG_BASE, VHOST_SET_LOG_FD, VHOST_SET_MEM_TABLE, VHOST_SET_OWNER,
  VHOST_SET_VRING_NUM, VHOST_VDPA_GET_AS_NUM, VHOST_VDPA_GET_CONFIG, VHOST_VDPA_GET_CONFIG_SIZE, VHOST_VDPA_GET_DEVICE_ID,
  VHOST_VDPA_GET_GROUP_NUM, VHOST_VDPA_GET_IOVA_RANGE, VHOST_VDPA_GET_STATUS, VHOST_VDPA_GET_VQS_COUNT,
  VHOST_VDPA_GET_VRING_GROUP, VHOST_VDPA_GET_VRING_NUM, VHOST_VDPA_SET_STATUS, VHOST_VDPA_SET_VRING_ENABLE, VHOST_VDPA_SUSPEND,
  VHOST_ACCESS_RW, _IO, vhost_memory, vhost_vdpa_iova_range,
} from '@vdpalab/uapi';
import { Caller, le, type VhostTestHost } from './caller.ts';

/** VERSION_1, ACCESS_PLATFORM, MAC, MTU: what a driver of the network simulator takes. */
export const FEATURES = 0x3_0000_0028n;
/** An address nothing is mapped at. */
const BAD_POINTER = 1;

export async function openChecks(c: Caller, path: string): Promise<void> {
  await c.line('second open of the same device, same process', () => c.p.open(path, O_RDWR));
  await c.line('second open O_RDONLY', () => c.p.open(path, O_RDONLY));
  await c.line('read 8 bytes', () => c.p.read(c.fd, 8));
  await c.line('write 8 bytes (too short for a message)', () => c.p.write(c.fd, new Uint8Array(8)));
  await c.line('lseek', () => c.p.lseek(c.fd, 0, SEEK_SET));
}

async function facts(c: Caller): Promise<void> {
  await c.get('GET_DEVICE_ID', VHOST_VDPA_GET_DEVICE_ID, 4);
  await c.showStatus('at open');
  await c.showFeatures('before SET_OWNER');
  await c.get('GET_VRING_NUM', VHOST_VDPA_GET_VRING_NUM, 2);
  await c.get('GET_VQS_COUNT', VHOST_VDPA_GET_VQS_COUNT, 4);
  await c.get('GET_CONFIG_SIZE', VHOST_VDPA_GET_CONFIG_SIZE, 4);
  await c.get('GET_GROUP_NUM', VHOST_VDPA_GET_GROUP_NUM, 4);
  await c.get('GET_AS_NUM', VHOST_VDPA_GET_AS_NUM, 4);
  const range = await c.line('GET_IOVA_RANGE', () => c.ioctl(VHOST_VDPA_GET_IOVA_RANGE, new Uint8Array(vhost_vdpa_iova_range.size)));
  if (range !== null) {
    const { first, last } = vhost_vdpa_iova_range.decode(range);
    c.say(`  = 0x${first.toString(16)} .. 0x${last.toString(16)}`);
  }
  await c.get('GET_BACKEND_FEATURES', VHOST_GET_BACKEND_FEATURES, 8, (bits) => `0x${bits.toString(16)}`);
}

export async function beforeOwner(c: Caller): Promise<void> {
  await facts(c);
  await c.vring('SET_VRING_NUM idx 0 num 64, no owner', VHOST_SET_VRING_NUM, 0, 64);
  await c.vringGet('GET_VRING_BASE idx 0, no owner', VHOST_GET_VRING_BASE, 0);
  await c.vring('SET_VRING_ENABLE idx 0 num 1, no owner', VHOST_VDPA_SET_VRING_ENABLE, 0, 1);
  for (const idx of [0, 1, 2, 3]) await c.vringGet(`GET_VRING_GROUP idx ${idx}`, VHOST_VDPA_GET_VRING_GROUP, idx);
  await c.setFeatures(FEATURES);
  await c.raw('RESET_OWNER', VHOST_RESET_OWNER);
  await c.set('SET_MEM_TABLE empty, no owner', VHOST_SET_MEM_TABLE, new Uint8Array(vhost_memory.size));
  await c.set('SET_LOG_BASE', VHOST_SET_LOG_BASE, le(0, 8));
  await c.set('SET_LOG_FD', VHOST_SET_LOG_FD, le(-1, 4));
  await c.raw('unknown ioctl of the vhost type (nr 0xf0)', _IO(0xaf, 0xf0));
  await c.raw('ioctl of another type', _IO(0x54, 1));
  await c.raw('VDPA_SUSPEND, no owner', VHOST_VDPA_SUSPEND);
  await c.message('IOTLB UPDATE before SET_OWNER', {
    type: VHOST_IOTLB_UPDATE, iova: 0x1000n, size: 0x1000n, uaddr: BigInt(await c.memory(4096)), perm: VHOST_ACCESS_RW,
  });
  await c.raw('GET_STATUS bad pointer', VHOST_VDPA_GET_STATUS, BAD_POINTER);
  await c.raw('SET_STATUS bad pointer', VHOST_VDPA_SET_STATUS, BAD_POINTER);
  await c.raw('GET_FEATURES bad pointer', VHOST_GET_FEATURES, BAD_POINTER);
  await c.raw('GET_CONFIG bad pointer', VHOST_VDPA_GET_CONFIG, BAD_POINTER);
}

export async function owner(c: Caller, host: VhostTestHost): Promise<void> {
  await c.raw('SET_OWNER', VHOST_SET_OWNER);
  await c.raw('SET_OWNER again', VHOST_SET_OWNER);
  await c.raw('RESET_OWNER as owner', VHOST_RESET_OWNER);
  await host.inChild(async (p) => {
    const child = await Caller.create({ p, out: host.out }, c.fd);
    await child.vring('in a child process: SET_VRING_NUM', VHOST_SET_VRING_NUM, 0, 64);
    await child.raw('in a child process: SET_OWNER', VHOST_SET_OWNER);
    await child.set('in a child process: GET_STATUS', VHOST_VDPA_GET_STATUS, le(0, 1));
  });
}

export async function status(c: Caller): Promise<void> {
  const shown = async (...statuses: readonly number[]): Promise<void> => {
    await c.setStatus(...statuses);
    await c.showStatus('');
  };
  await c.showStatus('');
  await shown(1);
  await shown(3);
  await shown(1);
  await c.setStatus(2, 3);
  c.say('   FEATURES_OK without SET_FEATURES');
  await shown(0xb);
  await c.setFeatures(FEATURES);
  c.say('   DRIVER_OK without FEATURES_OK');
  await shown(0, 3, 7);
  await shown(0xf);
  await shown(0);
  c.say('   straight to DRIVER_OK, reserved bits, FAILED, NEEDS_RESET');
  await shown(4);
  await shown(0, 0x10);
  await shown(0, 0x40);
  await shown(0, 0x80);
  await shown(0x8f);
  await shown(0, 0xff);
  await shown(0xfe, 0);
}

export async function features(c: Caller): Promise<void> {
  await c.showFeatures('');
  await c.setFeatures(0n, FEATURES);
  await c.showFeatures('after SET_FEATURES');
  await c.setFeatures(0x1_0000_0000n, 0x2_0000_0000n, 0xffff_ffff_ffff_ffffn, FEATURES | (1n << 63n), FEATURES);
  await c.setStatus(1, 3);
  await c.setFeatures(FEATURES);
  await c.setStatus(0xb);
  await c.setFeatures(FEATURES, 0n);
  await c.setStatus(0xf);
  await c.setFeatures(FEATURES);
  await c.showFeatures('after DRIVER_OK');
  await c.setStatus(0);
  await c.setFeatures(FEATURES);
}

export async function backendFeatures(c: Caller): Promise<void> {
  await c.setBackendFeatures(0n, 2n, 4n, 8n, 0x10n, 1n, 0x20n, 0x40n, 0x80n, 0x1en, 0xffff_ffff_ffff_ffffn);
}

export async function config(c: Caller): Promise<void> {
  const size = await c.number(VHOST_VDPA_GET_CONFIG_SIZE, 4);
  const reads: readonly (readonly [off: number, len: number])[] = [
    [0, 6], [6, 2], [8, 2], [10, 2], [0, 0], [0, size], [0, size + 1], [size - 1, 1], [size, 1], [size, 0], [size + 1, 1],
    [size - 4, 5], [0, 65_536], [0xffff_ffff, 1], [4, 0xffff_ffff],
  ];
  for (const [off, len] of reads) await c.getConfig(off, len);
  await c.setConfig(0, 1, 0xaa);
  await c.getConfig(0, 6);
  await c.setConfig(0, 0, 0);
  const writes: readonly (readonly [off: number, len: number])[] = [[size - 1, 1], [size, 1], [size - 4, 5], [0xffff_ffff, 1], [0, 65_536]];
  for (const [off, len] of writes) await c.setConfig(off, len, 1);
}

/** The file is closed and opened again. */
export async function closeResets(c: Caller, path: string): Promise<void> {
  await c.setStatus(3);
  await c.p.close(c.fd);
  c.fd = await c.p.open(path, O_RDWR);
  await c.showStatus('after close and open');
}
