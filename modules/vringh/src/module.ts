/** Host side of split rings over an IOTLB. Mirrors `drivers/vhost/vringh.c` (Linux 6.1). */
import { defineModule } from '@vdpalab/abi';
import type { Vringh } from './header.ts';
import { Ring } from './ring.ts';
import { advance, pull, push } from './transfer.ts';

export default defineModule({
  name: 'vringh',
  license: 'GPL',
  imports: ['machine', '_printk', 'vhost_iotlb_itree_first'],
  exports: [
    'vringh_init_iotlb', 'vringh_set_iotlb', 'vringh_getdesc_iotlb', 'vringh_iov_pull_iotlb', 'vringh_iov_push_iotlb',
    'vringh_kiov_advance', 'vringh_abandon_iotlb', 'vringh_complete_iotlb', 'vringh_notify_enable_iotlb',
    'vringh_notify_disable_iotlb', 'vringh_need_notify_iotlb',
  ],

  module_init(k) {
    const own = (vrh: Vringh): Ring => {
      if (!(vrh instanceof Ring)) throw new TypeError('not a ring of this vringh');
      return vrh;
    };
    return {
      ksymtab: {
        vringh_init_iotlb: (features, num, _weakBarriers, desc, avail, used) => new Ring(k, features, num, desc, avail, used),
        vringh_set_iotlb(vrh, iotlb) {
          own(vrh).setIotlb(iotlb);
          return undefined;
        },
        vringh_getdesc_iotlb: (vrh, riov, wiov) => own(vrh).next(riov, wiov),
        vringh_iov_pull_iotlb: (vrh, riov, dst) => pull(own(vrh).data, riov, dst),
        vringh_iov_push_iotlb: (vrh, wiov, src) => push(own(vrh).data, wiov, src),
        vringh_kiov_advance: advance,
        vringh_abandon_iotlb: (vrh, num) => own(vrh).device.unpop(num),
        vringh_complete_iotlb: (vrh, head, len) => own(vrh).complete(head, len),
        vringh_notify_enable_iotlb: (vrh) => own(vrh).device.enableNotify(),
        vringh_notify_disable_iotlb: (vrh) => own(vrh).device.disableNotify(),
        vringh_need_notify_iotlb: (vrh) => own(vrh).device.needInterrupt(),
      },
      module_exit: () => undefined,
    };
  },
});
