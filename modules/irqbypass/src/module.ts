/** IRQ bypass manager. Mirrors `virt/lib/irqbypass.c` (Linux 6.1). */
import { defineModule } from '@vdpalab/abi';
import { createManager } from './manager.ts';

export default defineModule({
  name: 'irqbypass',
  license: 'GPL v2',
  description: 'IRQ bypass manager utility module',
  imports: ['mutex_init', 'mutex_lock', 'mutex_unlock'],
  exportsGpl: [
    'irq_bypass_register_producer', 'irq_bypass_unregister_producer', 'irq_bypass_register_consumer',
    'irq_bypass_unregister_consumer',
  ],

  module_init(k) {
    const { idle, ...ksymtab } = createManager(k);
    return {
      ksymtab,
      module_exit() {
        if (!idle()) throw new Error('irqbypass: producers or consumers outlive the module');
      },
    };
  },
});
