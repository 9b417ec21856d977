/** ConnectX functions and their subfunctions. Mirrors `drivers/net/ethernet/mellanox/mlx5/core` (Linux 6.1). */
import { defineModule } from '@vdpalab/abi';
import { pciAlias } from '@vdpalab/uapi';
import { Shared } from './core-dev.ts';
import { imports } from './kernel.ts';
import { ids, pciDriver, sfDriver, sfIds } from './probe.ts';
import { symbols, symbolNames } from './symbols.ts';

export default defineModule({
  name: 'mlx5_core',
  license: 'Dual BSD/GPL',
  description: 'Mellanox 5th generation network adapters (ConnectX series) core driver',
  author: 'Eli Cohen <eli@mellanox.com>',
  alias: [...sfIds.map(({ name }) => `auxiliary:${name}`), ...ids.map(pciAlias)],
  imports,
  exports: symbolNames,

  async module_init(k, { THIS_MODULE, undo }) {
    const shared = new Shared(k);
    const pci = pciDriver(k, shared, THIS_MODULE);
    await k.__pci_register_driver(pci);
    undo.push('driver mlx5_core', () => k.pci_unregister_driver(pci));
    const sf = sfDriver(k, shared, THIS_MODULE);
    await k.__auxiliary_driver_register(sf);
    undo.push('driver mlx5_core.sf', () => k.auxiliary_driver_unregister(sf));
    return { ksymtab: symbols(shared), module_exit: () => undefined };
  },
});
