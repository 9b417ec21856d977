/** A driver of one disk in memory that answers when the test says so, for the tests of this package. */
import type { ThisModule } from '@vdpalab/abi';
import { bootBuiltins, type BootedKernel, type BootOptions, type Loadable } from '@vdpalab/testing';
import type { BlkStatus, BlockSymbols, Gendisk, QueueLimits, Request } from '../header.ts';
import type { Device, DriverCoreSymbols } from '@vdpalab/driver-core';
import type { FsSymbols } from '@vdpalab/fs';

type RamKernel =
  & Pick<BlockSymbols, 'blk_mq_alloc_disk' | 'device_add_disk' | 'del_gendisk' | 'put_disk' | 'set_capacity' | 'blk_mq_end_request'>
  & Pick<DriverCoreSymbols, 'device_initialize' | 'device_add' | 'device_del' | 'put_device'> & Pick<FsSymbols, 'register_blkdev' | 'unregister_blkdev'>;

/** How the disk is and behaves. */
export interface RamOptions {
  readonly sectors?: number;
  readonly depth?: number;
  readonly limits?: Partial<QueueLimits>;
  readonly write_cache?: boolean;
}

/** The disk and its driver. */
export interface RamDisk {
  readonly module: Loadable;
  readonly bytes: Uint8Array;
  /** Operations seen: `WRITE 8+2`. */
  readonly log: string[];
  /** What requests come to, from now on; null: they are kept. */
  answer: ((rq: Request) => BlkStatus) | null;
  /** Requests that are kept. */
  readonly kept: Request[];
  disk: Gendisk;
  /** Finish all that are kept. */
  readonly finish: (status?: BlkStatus) => void;
}

/** Make one. */
export function ramDisk(options: RamOptions = {}): RamDisk {
  const { sectors = 64, depth = 4 } = options;
  let k!: RamKernel & { readonly phys_view: (pa: number, size: number) => Uint8Array };
  const ram: RamDisk = {
    bytes: new Uint8Array(sectors * 512), log: [], answer: () => 'BLK_STS_OK', kept: [], disk: null as unknown as Gendisk, // set by init
    finish(status = 'BLK_STS_OK') {
      for (const rq of ram.kept.splice(0)) serve(rq, status);
    },
    module: {
      name: 'ramdisk', license: 'GPL', description: 'disk for tests', author: undefined, version: undefined, builtin: false, alias: [],
      softdep: [], params: {}, weakImports: [], importNs: [], exports: [], exportsGpl: [], exportsNs: {},
      imports: [
        'blk_mq_alloc_disk', 'device_add_disk', 'del_gendisk', 'put_disk', 'set_capacity', 'blk_mq_end_request', 'device_initialize',
        'device_add', 'device_del', 'put_device', 'register_blkdev', 'unregister_blkdev', 'phys_view',
      ],
      module_init,
    },
  };

  function serve(rq: Request, status: BlkStatus): void {
    let at = rq.sector * 512;
    for (const { pa, len } of status === 'BLK_STS_OK' ? rq.bvecs : []) {
      const memory = k.phys_view(pa, len);
      if (rq.op === 'READ') memory.set(ram.bytes.subarray(at, at + len));
      else ram.bytes.set(memory, at);
      at += len;
    }
    k.blk_mq_end_request(rq, status);
  }

  async function module_init(symbols: typeof k, { THIS_MODULE, undo }: ThisModule): Promise<object> {
    k = symbols;
    const parent: Device = k.device_initialize({ name: 'platform-disk' });
    undo.push('parent', () => k.put_device(parent));
    await k.device_add(parent);
    undo.push('parent in sysfs', () => k.device_del(parent));
    const major = k.register_blkdev(0, 'ramdisk');
    undo.push('major', () => k.unregister_blkdev(major));
    ram.disk = k.blk_mq_alloc_disk({
      mq_ops: {
        queue_rq(rq) {
          const answer = ram.answer?.(rq);
          if (answer === 'BLK_STS_DEV_RESOURCE') return answer;
          ram.log.push(`${rq.op} ${rq.sector}+${rq.nr_sectors}`);
          if (answer === undefined) ram.kept.push(rq);
          else serve(rq, answer);
          return 'BLK_STS_OK';
        },
      },
      queue_depth: depth, fops: { owner: THIS_MODULE }, minors: 16, queuedata: null, ...(options.limits === undefined ? {} : { limits: options.limits }),
    });
    undo.push('disk', () => k.put_disk(ram.disk));
    Object.assign(ram.disk, { disk_name: 'rda', major, first_minor: 0 });
    ram.disk.queue.write_cache = options.write_cache ?? false;
    k.set_capacity(ram.disk, sectors);
    await k.device_add_disk(parent, ram.disk, []);
    undo.push('added disk', () => k.del_gendisk(ram.disk));
    return { ksymtab: {}, module_exit: () => undefined };
  }

  return ram;
}

/** What the block layer stands on, and itself. */
export const BUILTINS = ['sched', 'mm', 'fs', 'driver-core', 'block'] as const;

/** Boot with the disk. */
export async function bootRam(options: RamOptions = {}, boot: BootOptions = {}): Promise<BootedKernel & { readonly ram: RamDisk }> {
  const ram = ramDisk(options);
  const kernel = await bootBuiltins(BUILTINS, boot);
  await kernel.run(() => kernel.insmod(ram.module));
  return { ...kernel, ram };
}
