/** Generic vhost. Mirrors `drivers/vhost/vhost.c` (Linux 6.1), the part vhost-vdpa uses. */
import { defineModule, KERNEL_VERSION, param } from '@vdpalab/abi';
import { VHOST_SET_LOG_BASE, VHOST_SET_LOG_FD, VHOST_SET_MEM_TABLE, VHOST_SET_OWNER } from '@vdpalab/uapi';
import { DevState, type VirtqueueState } from './dev.ts';
import { initDeviceIotlb, pollMisses, prefetchMeta, readMiss } from './device-iotlb.ts';
import type { VhostDev, VhostVirtqueue } from './header.ts';
import { writeIotlbMessage } from './iotlb-message.ts';
import { setLogBase, setLogFd, vhostLogWrite } from './log.ts';
import { setMemory } from './memory.ts';
import { getVqDesc } from './vq-desc.ts';
import { vringIoctl } from './vring-ioctl.ts';
import { workerIoctl } from './worker.ts';

export default defineModule({
  name: 'vhost',
  license: 'GPL v2',
  version: '0.0.1',
  description: 'Host kernel accelerator for virtio',
  author: 'Michael S. Tsirkin',
  params: {
    max_mem_regions: param.ushort(64, { perm: 0o444, desc: 'Maximum number of memory regions in memory map. (default: 64)' }),
    max_iotlb_entries: param.int(2048, { perm: 0o444, desc: 'Maximum number of iotlb entries. (default: 2048)' }),
  },
  imports: [
    'mutex_init', 'mutex_lock', 'mutex_unlock', 'eventfd_ctx_fdget', 'eventfd_ctx_put', 'eventfd_signal', 'vhost_iotlb_alloc',
    'vhost_iotlb_add_range', 'vhost_iotlb_free', 'vhost_iotlb_del_range', 'init_waitqueue_head', 'wait_event', 'wake_up', 'vhost_iotlb_itree_first', 'vhost_iotlb_itree_next',
    'cond_resched', 'kthread_run',
  ],
  exportsGpl: [
    'vhost_dev_init', 'vhost_dev_set_owner', 'vhost_dev_has_owner', 'vhost_dev_check_owner', 'vhost_dev_reset_owner', 'vhost_dev_stop', 'vhost_dev_cleanup',
    'vhost_dev_ioctl', 'vhost_vring_ioctl', 'vhost_worker_ioctl', 'vhost_chr_write_iter', 'vhost_set_backend_features', 'vhost_log_write', 'vhost_chr_read_iter', 'vhost_chr_poll', 'vhost_chr_poll_queue', 'vhost_init_device_iotlb',
    'vq_meta_prefetch', 'vhost_get_vq_desc', 'vhost_poll_stop', 'vhost_leftovers',
  ],

  module_init(k, { params, LINUX_VERSION_CODE }) {
    const devices = new Set<DevState>();
    const own = (dev: VhostDev): DevState => {
      if (!(dev instanceof DevState)) throw new TypeError('not a device of this vhost');
      return dev;
    };

    const ownVq = (vq: VhostVirtqueue): VirtqueueState => {
      const mine = own(vq.dev).vqs[vq.index];
      if (mine !== vq) throw new TypeError(`queue ${vq.index} is not its device's`);
      return mine;
    };

    return {
      ksymtab: {
        vhost_dev_init(init) {
          const dev = new DevState(k, init);
          devices.add(dev);
          return dev;
        },
        vhost_dev_set_owner: (dev, proc) => own(dev).setOwner(proc),
        vhost_dev_has_owner: (dev) => dev.mm !== null,
        vhost_dev_check_owner: (dev, proc) => own(dev).checkOwner(proc),
        vhost_dev_reset_owner: (dev) => own(dev).cleanup(),
        vhost_dev_stop: (dev) => own(dev).stop(),
        vhost_dev_cleanup(dev) {
          devices.delete(own(dev));
          return own(dev).cleanup();
        },
        async vhost_dev_ioctl(dev, cmd, arg, proc) {
          if (cmd === VHOST_SET_OWNER) {
            own(dev).setOwner(proc);
            return true;
          }
          own(dev).checkOwner(proc);
          if (cmd === VHOST_SET_MEM_TABLE) {
            setMemory(k, own(dev), params, arg, proc);
            return true;
          }
          if (cmd === VHOST_SET_LOG_BASE) setLogBase(k, own(dev), arg, proc);
          else if (cmd === VHOST_SET_LOG_FD) setLogFd(k, own(dev), arg, proc);
          else return false;
          return true;
        },
        vhost_vring_ioctl: (dev, cmd, arg, proc) => vringIoctl(k, own(dev), cmd, arg, proc),
        vhost_worker_ioctl: async (dev, cmd, arg, proc) => LINUX_VERSION_CODE >= KERNEL_VERSION(6, 5) && workerIoctl(own(dev), cmd, arg, proc),
        vhost_chr_write_iter: (dev, bytes, proc) => writeIotlbMessage(k, own(dev), bytes, proc),
        vhost_chr_read_iter: (dev, len, noblock) => readMiss(k, own(dev), len, noblock),
        vhost_chr_poll: (dev) => pollMisses(own(dev)),
        vhost_chr_poll_queue: (dev) => own(dev).wait,
        vhost_init_device_iotlb: (dev) => initDeviceIotlb(k, own(dev), params.max_iotlb_entries),
        vq_meta_prefetch: (vq) => prefetchMeta(k, ownVq(vq)),
        vhost_get_vq_desc: (vq) => getVqDesc(k, ownVq(vq)),
        vhost_set_backend_features: (dev, features) => own(dev).setBackendFeatures(features),
        vhost_log_write: (vq, log, len, iov) => vhostLogWrite(k, ownVq(vq), log, len, iov),
        vhost_poll_stop: (vq) => ownVq(vq).stopPoll(),
        vhost_leftovers: () => [...devices].map((dev) => `vhost device of ${dev.owner === null ? 'nobody' : `process ${dev.owner.pid}`}`),
      },
      module_exit: () => undefined,
    };
  },
});
