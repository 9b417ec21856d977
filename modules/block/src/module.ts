/** Block devices. Mirrors `block/` (Linux 6.1): the queue of requests, disks, their files. */
import { defineModule, UndoStack } from '@vdpalab/abi';
import type { Class } from '@vdpalab/driver-core';
import { Disk, ownDisk } from './disk.ts';
import { diskFile, flush } from './file.ts';
import { ownQueue, ownRequest } from './queue.ts';
import { bdiGroups, diskGroups } from './sysfs.ts';

const KERN_ERR = 3;
const KERN_INFO = 6;
/** Sectors of 512 bytes in one block of /proc/partitions. */
const SECTORS_PER_KIB = 2;

export default defineModule({
  name: 'block',
  license: 'GPL',
  description: 'Block devices: disks, requests, /dev nodes',
  builtin: true,
  imports: [
    '_printk', 'init_completion', 'complete', 'wait_for_completion', 'init_waitqueue_head', 'wait_event', 'wake_up', 'alloc_pages',
    'free_pages', 'phys_view', 'capable', 'bdev_add', 'bdev_del', 'proc_create', 'sysfs_root', 'kernfs_create_dir', 'kernfs_create_link',
    'kernfs_remove', 'class_register', 'device_initialize', 'device_add', 'device_del', 'put_device', 'kobject_uevent',
  ],
  exports: ['put_disk', 'set_disk_ro', 'blkdev_issue_flush', 'blk_mq_stop_hw_queues', 'blk_mq_end_request'],
  exportsGpl: [
    'blk_mq_alloc_disk', 'device_add_disk', 'del_gendisk', 'get_capacity', 'set_capacity', 'set_capacity_and_notify',
    'blk_mq_start_stopped_hw_queues', 'blk_execute_rq', 'block_leftovers',
  ],

  module_init(k) {
    const disks = new Set<Disk>();
    const held = new Map<Disk, UndoStack>();
    let diskseq = 0;
    const block: Class = { name: 'block' };
    const bdi: Class = { name: 'bdi' };
    k.class_register(block);
    k.class_register(bdi);
    const dir = k.kernfs_create_dir(k.sysfs_root, 'block');
    const live = (): Disk[] => [...disks].filter((disk) => disk.live);
    k.proc_create('partitions', 0o444, () => (live().length === 0 ? '' : `major minor  #blocks  name\n\n${live().map((disk) =>
      `${String(disk.major).padStart(4)}  ${String(disk.first_minor).padStart(7)} ${String(disk.capacity / SECTORS_PER_KIB).padStart(10)} ${disk.disk_name}\n`).join('')}`));

    return {
      ksymtab: {
        blk_mq_alloc_disk(init) {
          const disk = new Disk(k, init);
          disk.diskseq = ++diskseq;
          disks.add(disk);
          return disk;
        },
        put_disk(given) {
          const disk = ownDisk(given);
          disks.delete(disk);
          if (disk.part0 !== null) k.put_device(disk.part0);
          disk.part0 = null;
        },
        async device_add_disk(parent, given, groups) {
          const disk = ownDisk(given);
          const devt = { major: disk.major, minor: disk.first_minor };
          const undo = new UndoStack();
          try {
            const wb = k.device_initialize({ name: `${devt.major}:${devt.minor}`, class: bdi, groups: bdiGroups });
            undo.push('bdi', () => k.put_device(wb));
            const dev = k.device_initialize({
              name: disk.disk_name, parent, class: block, devt, groups: [...diskGroups(disk), ...groups],
              uevent: () => ['DEVTYPE=disk', `DISKSEQ=${disk.diskseq}`],
            });
            disk.part0 = dev;
            k.bdev_add(devt.major, devt.minor, diskFile(k, disk), disk.fops.owner, disk);
            undo.push('opens', () => k.bdev_del(devt.major, devt.minor));
            await k.device_add(wb);
            try {
              await k.device_add(dev);
            } catch (error) {
              await k.device_del(wb);
              throw error;
            }
            undo.push('disk in sysfs', () => k.device_del(dev));
            undo.push('bdi in sysfs', () => k.device_del(wb)); // goes first
            if (dev.sd === null || wb.sd === null) throw new Error(`${disk.disk_name} is not in sysfs`);
            for (const [at, name, target] of [[dir, disk.disk_name, dev.sd], [dev.sd, 'bdi', wb.sd]] as const) {
              const link = k.kernfs_create_link(at, name, target);
              undo.push(`link ${name}`, () => void k.kernfs_remove(link));
            }
          } catch (error) {
            await undo.run();
            throw error;
          }
          disk.live = true;
          held.set(disk, undo);
        },
        async del_gendisk(given) {
          const disk = ownDisk(given);
          disk.live = false;
          disk.queue.dead = true;
          await disk.queue.drain();
          disk.capacity = 0;
          await held.get(disk)?.run();
          held.delete(disk);
        },
        get_capacity: (disk) => ownDisk(disk).capacity,
        set_capacity(disk, sectors) {
          ownDisk(disk).capacity = sectors;
        },
        set_capacity_and_notify(given, sectors) {
          const disk = ownDisk(given);
          const before = disk.capacity;
          disk.capacity = sectors;
          if (before === sectors || !disk.live || disk.part0 === null) return false;
          k._printk(KERN_INFO, `${disk.disk_name}: detected capacity change from ${before} to ${sectors}`);
          if (before === 0 || sectors === 0) return false;
          k.kobject_uevent(disk.part0, 'change', ['RESIZE=1']);
          return true;
        },
        set_disk_ro(disk, ro) {
          ownDisk(disk).ro = ro;
        },
        blk_mq_end_request(given, status) {
          const rq = ownRequest(given);
          if (status === 'BLK_STS_IOERR' && rq.op !== 'DRV_IN') {
            const disk = [...disks].find((one) => one.queue === rq.q);
            k._printk(KERN_ERR, `I/O error, dev ${disk?.disk_name ?? '?'}, sector ${rq.sector} op 0x${OPCODE[rq.op].toString(16)}:(${rq.op}) flags 0x0 phys_seg ${rq.bvecs.length} prio class 2`);
          }
          return rq.q.end(rq, status);
        },
        blk_mq_stop_hw_queues: (q) => ownQueue(q).stop(),
        blk_mq_start_stopped_hw_queues: (q) => ownQueue(q).start(),
        blk_execute_rq: (disk, bvecs) => ownDisk(disk).queue.execute({ op: 'DRV_IN', sector: 0, nr_sectors: 0, bvecs }),
        async blkdev_issue_flush(disk) {
          await flush(ownDisk(disk));
        },
        block_leftovers: () => [...disks].flatMap((disk) => [
          `disk ${disk.disk_name}${disk.live ? '' : ', not added'}`,
          ...(disk.queue.underWay === 0 ? [] : [`${disk.disk_name}: ${disk.queue.underWay} requests under way`]),
        ]),
      },
      module_exit: null,
    };
  },
});

/** `REQ_OP_*` by number, as the log shows them. */
const OPCODE = { READ: 0, WRITE: 1, FLUSH: 2, DISCARD: 3, WRITE_ZEROES: 9, DRV_IN: 34 } as const;

