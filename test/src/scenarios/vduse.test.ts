/** Devices that a process serves: the control node, questions and answers, and a disk through both bus drivers. */
import { createLab, type Lab, type UserProcess } from '@vdpalab/lab';
import { covers, errnoOf } from '@vdpalab/testing';
import {
  O_RDWR, POLLERR, POLLIN, POLLOUT, VDUSE_GET_API_VERSION, VDUSE_REQ_RESULT_FAILED, VDUSE_REQ_RESULT_OK, VDUSE_SET_API_VERSION, VDUSE_SET_STATUS, VIRTIO_BLK_F_CONFIG_WCE,
  VIRTIO_BLK_S_IOERR, VIRTIO_BLK_S_UNSUPP, VIRTIO_F_ACCESS_PLATFORM, VIRTIO_ID_BLOCK, VIRTIO_ID_NET, vduse_dev_status,
} from '@vdpalab/uapi';
import { BlockRequestError, createVduse, destroyVduse, Scratch, vdpaDevAdd, vdpaDevDel, VduseDisk, VduseFile, VirtioUserBlk } from '@vdpalab/user';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { modprobe } from '../support/index.ts';

const ACCESS_PLATFORM = 1n << BigInt(VIRTIO_F_ACCESS_PLATFORM);
const GOOD = { device_id: VIRTIO_ID_BLOCK, features: ACCESS_PLATFORM, vq_num: 1, vq_align: 4096 };
const SECTORS = 64;

let lab: Lab;
beforeEach(async () => {
  lab = await createLab({ config: { memory: '192M' } });
  await lab.user((p) => modprobe(lab, p, 'vduse'));
});
afterEach(closed);

/** The module can go, and the lab holds nothing. */
async function closed(): Promise<void> {
  await lab.user(async () => lab.symbol('delete_module')('vduse', 0));
  expect(await lab.close()).toEqual([]);
}

const useCount = (): number => lab.loader.modules().find((m) => m.name === 'vduse')?.refcnt ?? -1;

describe('the control node', () => {
  it('has version 0, which each open file sets for itself', () => lab.user(async (p) => {
    covers('2.8.7');
    const fd = await p.open('/dev/vduse/control', O_RDWR);
    const scratch = await Scratch.create(p);
    const version = (n: bigint): Uint8Array => {
      const bytes = new Uint8Array(8);
      new DataView(bytes.buffer).setBigUint64(0, n, true);
      return bytes;
    };
    expect(await scratch.ioctl(fd, VDUSE_GET_API_VERSION, version(7n))).toEqual(version(0n));
    await scratch.ioctl(fd, VDUSE_SET_API_VERSION, version(0n));
    expect(await errnoOf(() => scratch.ioctl(fd, VDUSE_SET_API_VERSION, version(1n)))).toBe('EINVAL');
    expect(await errnoOf(() => p.ioctl(fd, VDUSE_GET_API_VERSION, 0))).toBe('EFAULT');
    expect(await errnoOf(() => p.ioctl(fd, 0x8150, 0))).toBe('EINVAL');
    await p.close(fd);
  }));

  it('takes only what a process may serve', () => lab.user(async (p) => {
    covers('2.8.8');
    const config = new Uint8Array(8);
    const bad = {
      'reserved words': { reserved: [1, ...Array.from({ length: 12 }, () => 0)] },
      'too large an alignment': { vq_align: 8192 },
      'too large a configuration': { config_size: 4097 },
      'too many queues': { vq_num: 0x1_0000 },
      'a network device': { device_id: VIRTIO_ID_NET },
      'no ACCESS_PLATFORM': { features: 0n },
      'a writable cache mode': { features: ACCESS_PLATFORM | (1n << BigInt(VIRTIO_BLK_F_CONFIG_WCE)) },
    };
    for (const [what, change] of Object.entries(bad)) {
      expect(await errnoOf(() => createVduse(p, 'd', { ...GOOD, ...change }, config)), what).toBe('EINVAL');
    }
    await createVduse(p, 'd', GOOD, config);
    expect(await errnoOf(() => createVduse(p, 'd', GOOD, config))).toBe('EEXIST');
    expect(useCount()).toBe(1);
    await destroyVduse(p, 'd');
    expect(useCount()).toBe(0);
    expect(await errnoOf(() => destroyVduse(p, 'd'))).toBe('EINVAL');
  }));

  it('gives each device a node that one process opens at a time, and takes it away only when nobody has it', () => lab.user(async (p) => {
    await createVduse(p, 'd', GOOD, new Uint8Array(8));
    expect((await p.stat('/dev/vduse/d')).rdev?.minor).toBe(1);
    expect(await p.readlink('/sys/class/vduse/d')).toBe('../../devices/virtual/vduse/d');
    const file = await VduseFile.open(p, 'd');
    expect(await errnoOf(() => VduseFile.open(p, 'd'))).toBe('EBUSY');
    expect(await errnoOf(() => destroyVduse(p, 'd'))).toBe('EBUSY');
    await file.close();

    expect(await p.readFile('/sys/class/vduse/d/msg_timeout')).toBe('30\n');
    await p.writeFile('/sys/class/vduse/d/msg_timeout', '5\n');
    expect(await p.readFile('/sys/class/vduse/d/msg_timeout')).toBe('5\n');
    expect(await errnoOf(() => p.writeFile('/sys/class/vduse/d/msg_timeout', 'soon'))).toBe('EINVAL');
    expect(await errnoOf(() => p.writeFile('/sys/class/vduse/d/msg_timeout', '4294967296'))).toBe('ERANGE');
    await destroyVduse(p, 'd');
    expect(await errnoOf(() => p.stat('/dev/vduse/d'))).toBe('ENOENT');
  }));

  it('makes vDPA devices only of what is ready, and once', () => lab.user(async (p) => {
    const refusal = (name: string): Promise<string> => vdpaDevAdd(p, name, 'vduse').then(() => 'ok', (e: Error) => e.message);
    expect(await refusal('d')).toContain('EINVAL'); // nobody has set it up
    await createVduse(p, 'd', GOOD, new Uint8Array(8));
    expect(await refusal('d')).toContain('EINVAL'); // its queue has no size
    const file = await VduseFile.open(p, 'd');
    await file.setupVq(0, 64);
    expect(await refusal('d')).toBe('ok');
    expect(await refusal('d')).toContain('EEXIST');
    await file.close();
    expect(await errnoOf(() => destroyVduse(p, 'd'))).toBe('EBUSY'); // on the bus
    await vdpaDevDel(p, 'd');
    await destroyVduse(p, 'd');
  }));
});

/** A device `d` on the bus with a reader that is not the front-end's process. */
async function device(p: UserProcess): Promise<VduseFile> {
  await createVduse(p, 'd', GOOD, Uint8Array.from({ length: 8 }, (_, n) => n));
  const file = await VduseFile.open(p, 'd');
  await file.setupVq(0, 64);
  await vdpaDevAdd(p, 'd', 'vduse');
  return file;
}

/** Take it away again. */
async function away(p: UserProcess, file: VduseFile): Promise<void> {
  await file.close();
  await vdpaDevDel(p, 'd');
  await destroyVduse(p, 'd');
}

describe('the device node', () => {
  it('refuses ioctls about queues, ranges and interrupts that are not there', () => lab.user(async (p) => {
    covers('2.8.9');
    const file = await device(p);
    for (const call of [() => file.setupVq(1, 8), () => file.vqInfo(1), () => file.setKickfd(1, -1), () => file.injectIrq(1)]) {
      expect(await errnoOf(call)).toBe('EINVAL');
    }
    expect(await errnoOf(() => file.injectIrq(0))).toBe('EINVAL'); // not DRIVER_OK
    expect(await errnoOf(() => file.injectConfigIrq())).toBe('EINVAL');
    expect(await errnoOf(() => file.setKickfd(0, 99))).toBe('EBADF');
    expect(await errnoOf(() => file.setKickfd(0, file.fd))).toBe('EINVAL'); // no eventfd
    await file.setKickfd(0, -1);
    await file.setKickfd(0, -7); // taken without effect
    expect(await errnoOf(() => file.iotlbFd(5n, 4n))).toBe('EINVAL');
    expect(await errnoOf(() => file.iotlbFd(0n, 4095n))).toBe('EINVAL'); // nothing mapped
    expect(await errnoOf(() => file.iotlbInfo(5n, 4n))).toBe('EINVAL');
    expect(await errnoOf(() => file.iotlbInfo(0n, 4095n))).toBe('EINVAL');
    await file.setConfig(6, Uint8Array.of(9, 9));
    for (const [offset, length] of [[9, 1], [0, 0], [7, 2]] as const) {
      expect(await errnoOf(() => file.setConfig(offset, new Uint8Array(length)))).toBe('EINVAL');
    }
    expect(await file.features()).toBe(0n);
    expect(await errnoOf(() => p.ioctl(file.fd, 0x8150, 0))).toBe('ENOTTY');
    expect(await errnoOf(() => file.registerMemory({ uaddr: 0n, iova: 0n, size: 1n }))).toBe('EINVAL');
    expect(await errnoOf(() => file.deregisterMemory({ uaddr: 0n, iova: 0n, size: 1n }))).toBe('ENOENT');
    await away(p, file);
  }));

  it('gives questions out one by one and takes answers only to what it asked', () => lab.user(async (p) => {
    covers('2.8.10');
    const file = await device(p);
    expect(await errnoOf(() => file.request())).toBe('EAGAIN');
    expect(await errnoOf(() => p.read(file.fd, 8))).toBe('EINVAL');
    expect(await errnoOf(() => p.write(file.fd, new Uint8Array(8)))).toBe('EINVAL');
    expect(await errnoOf(() => file.respond(1, VDUSE_REQ_RESULT_OK))).toBe('ENOENT');
    expect(await p.poll([{ fd: file.fd, events: POLLIN | POLLOUT }], 0)).toEqual([0]);
    await away(p, file);
  }));
});

/** Run `body` beside a task of another process. */
async function beside(name: string, other: (p: UserProcess) => Promise<void>, body: (p: UserProcess) => Promise<void>): Promise<void> {
  await lab.user(async (p) => {
    const proc = lab.spawnProcess(name);
    const task = lab.symbol('process_run')(proc.proc, name, () => other(proc));
    await body(p);
    await lab.symbol('kthread_join')(task);
    await lab.symbol('process_exit')(proc.proc);
  });
}

describe('questions to the process', () => {
  beforeEach(() => lab.user((p) => modprobe(lab, p, 'vhost_vdpa')));
  afterEach(() => lab.user(async () => lab.symbol('delete_module')('vhost_vdpa', 0)));

  it('are asked before the device is open, and the answer decides', async () => {
    const statuses: number[] = [];
    let file: VduseFile | null = null;
    await lab.user(async (p) => {
      file = await device(p);
      const answers = [VDUSE_REQ_RESULT_FAILED, VDUSE_REQ_RESULT_OK];
      const answer = async (): Promise<void> => {
        const served = file as VduseFile; // set above
        for (const result of answers) {
          await p.poll([{ fd: served.fd, events: POLLIN }]);
          const { type, request_id, padding } = await served.request();
          expect(type).toBe(VDUSE_SET_STATUS);
          expect(await p.poll([{ fd: served.fd, events: POLLIN | POLLOUT }], 0)).toEqual([POLLOUT]);
          statuses.push(vduse_dev_status.decode(padding).status);
          await served.respond(request_id, result);
        }
      };
      const proc = lab.spawnProcess('daemon');
      const task = lab.symbol('process_run')(proc.proc, 'daemon', answer);
      expect(await errnoOf(() => p.open('/dev/vhost-vdpa-0', O_RDWR))).toBe('EIO'); // the process said no
      const fd = await p.open('/dev/vhost-vdpa-0', O_RDWR);
      await lab.symbol('kthread_join')(task);
      await lab.symbol('process_exit')(proc.proc);
      expect(statuses).toEqual([0, 0]);
      const closer = lab.symbol('process_run')(p.proc, 'closer', () => p.close(fd)); // reset: nobody answers for 30 s
      const before = lab.hw.sched.now;
      await lab.symbol('kthread_join')(closer);
      expect(lab.hw.sched.now - before).toBeGreaterThanOrEqual(30e9);
      expect(await p.poll([{ fd: file.fd, events: POLLIN }], 0)).toEqual([POLLERR]); // broken for good
      expect(await errnoOf(() => (file as VduseFile).features())).toBe('EPERM');
      expect(await errnoOf(() => p.open('/dev/vhost-vdpa-0', O_RDWR))).toBe('EIO');
      await away(p, file);
    });
  });

  it('that were read and not answered are asked again of the next process', () => lab.user(async (p) => {
    let file = await device(p);
    const opener = lab.symbol('process_run')(p.proc, 'opener', async () => p.close(await p.open('/dev/vhost-vdpa-0', O_RDWR)));
    const next = async (): Promise<number> => {
      await p.poll([{ fd: file.fd, events: POLLIN }]);
      return (await file.request()).request_id;
    };
    const first = await next();
    await file.close();
    file = await VduseFile.open(p, 'd');
    expect(await next()).toBe(first);
    await file.respond(first, VDUSE_REQ_RESULT_OK);
    await file.respond(await next(), VDUSE_REQ_RESULT_OK); // the reset of close
    await lab.symbol('kthread_join')(opener);
    await away(p, file);
  }));
});

/** Contents that tell sectors apart. */
const pattern = (sectors: number): Uint8Array => Uint8Array.from({ length: sectors * 512 }, (_, n) => (n * 7 + (n >> 9)) & 0xff);

/** A disk `d` that a process serves, on the bus while `body` runs. */
async function withDisk(contents: Uint8Array, body: (p: UserProcess, disk: VduseDisk) => Promise<void>): Promise<void> {
  let disk: VduseDisk | null = null;
  await beside('disk', async (q) => {
    disk = await VduseDisk.create(q, 'd', { contents, serial: 'vduse-1' });
    await disk.serve();
    await disk.destroy();
  }, async (p) => {
    await p.poll([], 1e6); // the disk is there by then
    if (disk === null) throw new Error('the disk was not created');
    await vdpaDevAdd(p, 'd', 'vduse');
    await body(p, disk);
    await vdpaDevDel(p, 'd');
    await disk.end();
  });
}

describe('a disk that a process serves', () => {
  it('answers a driver in another process, through memory they share', async () => {
    covers('2.8.11');
    const contents = pattern(SECTORS);
    await lab.user((p) => modprobe(lab, p, 'vhost_vdpa'));
    await withDisk(contents, async (p, disk) => {
      const blk = await VirtioUserBlk.start(p, '/dev/vhost-vdpa-0');
      expect(blk.capacity).toBe(BigInt(SECTORS));
      expect(await blk.id()).toBe('vduse-1');
      expect(await blk.read(3n, 1024)).toEqual(pattern(SECTORS).subarray(3 * 512, 5 * 512));
      const written = new Uint8Array(4096).fill(0xa5);
      await blk.write(8n, written);
      await blk.flush();
      expect(contents.subarray(8 * 512, 16 * 512)).toEqual(written);
      expect(await blk.read(8n, 4096)).toEqual(written);
      await expect(blk.read(BigInt(SECTORS), 512)).rejects.toEqual(expect.objectContaining({ status: VIRTIO_BLK_S_IOERR }));
      await expect(blk.request(99, 0n, new Uint8Array(512))).rejects.toBeInstanceOf(BlockRequestError);
      await expect(blk.request(99, 0n, new Uint8Array(512))).rejects.toEqual(expect.objectContaining({ status: VIRTIO_BLK_S_UNSUPP }));
      expect(disk.served).toBe(8);
      await blk.stop();
    });
    await lab.user(async () => lab.symbol('delete_module')('vhost_vdpa', 0));
  });
});
