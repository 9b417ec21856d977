import { describeDevlinkDriver } from '@vdpalab/testing';
import { bootMlx5, FIRST_PORT, PF, SF } from './testing/bench.ts';

describeDevlinkDriver({
  name: 'a physical function of mlx5_core',
  boot: () => bootMlx5(),
  leave: (kernel) => kernel.run(() => kernel.rmmod('mlx5_core')),
  handle: PF, flags: ['enable_eth', 'enable_rdma'], reload: true, eswitch: true, sf: { pfnum: 0 },
});

describeDevlinkDriver({
  name: 'a subfunction of mlx5_core',
  async boot() {
    const b = await bootMlx5();
    await b.switchdev();
    if (await b.subfunction(88) !== FIRST_PORT) throw new Error('no subfunction');
    return b;
  },
  leave: (kernel) => kernel.run(() => kernel.rmmod('mlx5_core')),
  handle: SF, flags: ['enable_eth', 'enable_rdma', 'enable_vnet'], reload: true, eswitch: false, sf: null,
});
