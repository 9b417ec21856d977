/** Eventfds that a VFIO driver acts upon. Mirrors `drivers/vfio/virqfd.c` (Linux 6.1). */
import { defineModule, KernelError } from '@vdpalab/abi';
import type { Atomic } from '@vdpalab/abi';
import type { EventfdCtx } from '@vdpalab/fs';
import type { Work } from '@vdpalab/sched';

/** `struct virqfd` */
class Virqfd {
  readonly ctx: EventfdCtx;
  readonly thread: Work | null;
  readonly watcher: () => Atomic;

  constructor(ctx: EventfdCtx, thread: Work | null, watcher: () => Atomic) {
    this.ctx = ctx;
    this.thread = thread;
    this.watcher = watcher;
  }
}

export default defineModule({
  name: 'vfio_virqfd',
  license: 'GPL v2',
  version: '0.1',
  description: 'IRQFD support for VFIO bus drivers',
  author: 'Alex Williamson <alex.williamson@redhat.com>',
  imports: ['eventfd_ctx_fdget', 'eventfd_ctx_put', 'eventfd_ctx_do_read', 'INIT_WORK', 'queue_work', 'system_wq', 'cancel_work_sync', 'flush_work'],
  exportsGpl: ['vfio_virqfd_disable', 'vfio_virqfd_enable', 'vfio_virqfd_flush_thread'],

  module_init(k) {
    const of = (virqfd: object | null): Virqfd | null => (virqfd instanceof Virqfd ? virqfd : null);
    return {
      ksymtab: {
        vfio_virqfd_enable(slot, proc, fd, { handler, thread }) {
          const ctx = k.eventfd_ctx_fdget(proc, fd);
          if (slot.virqfd !== null) {
            k.eventfd_ctx_put(ctx);
            throw new KernelError('EBUSY', 'vfio_virqfd.taken', 'another eventfd does this already');
          }
          const work = thread === undefined ? null : k.INIT_WORK('virqfd_inject', thread);
          const wakeup = (): Atomic => {
            if (k.eventfd_ctx_do_read(ctx) === 0n) return;
            if ((handler?.() ?? true) && work !== null) k.queue_work(k.system_wq, work);
          };
          slot.virqfd = new Virqfd(ctx, work, wakeup);
          ctx.wq.watchers.add(wakeup);
          wakeup();
        },
        async vfio_virqfd_disable(slot) {
          const virqfd = of(slot.virqfd);
          if (virqfd === null) return;
          slot.virqfd = null;
          virqfd.ctx.wq.watchers.delete(virqfd.watcher);
          if (virqfd.thread !== null) await k.cancel_work_sync(virqfd.thread);
          k.eventfd_ctx_put(virqfd.ctx);
        },
        async vfio_virqfd_flush_thread(slot) {
          const thread = of(slot.virqfd)?.thread ?? null;
          if (thread === null) return;
          k.queue_work(k.system_wq, thread);
          await k.flush_work(thread);
        },
      },
    };
  },
});
