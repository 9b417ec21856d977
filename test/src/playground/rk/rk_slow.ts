/** Takes its time to come and to go. */
import { defineModule, param } from '@vdpalab/abi';
import type { } from '@vdpalab/sched';
import type { ModuleFileInfo } from '@vdpalab/lab';

export const modinfo: ModuleFileInfo = { path: 'kernel/samples/rk/rk_slow.ko', initSize: 12288, intree: false, signed: false };

export default defineModule({
  name: 'rk_slow',
  license: 'GPL',
  description: 'slow init and exit',
  params: { in_ms: param.int(1000, { perm: 0o644 }), out_ms: param.int(0, { perm: 0o644 }) },
  imports: ['_printk', 'msleep'],

  async module_init(k, { params }) {
    k._printk(6, 'rk_slow: init begins');
    await k.msleep(params.in_ms);
    k._printk(6, 'rk_slow: init ends');
    return {
      ksymtab: {},
      async module_exit() {
        k._printk(6, 'rk_slow: exit begins');
        await k.msleep(params.out_ms);
        k._printk(6, 'rk_slow: exit ends');
      },
    };
  },
});
