/** The toy driver is a driver like any other. */
import { describeDevlinkDriver, TOY_DEVLINK } from '@vdpalab/testing';
import { bootToy } from './testing/kernel.ts';

const toy = { boot: () => bootToy(), leave: (kernel: { run: (body: () => Promise<void>) => Promise<void>; rmmod: (name: string) => Promise<void> }) => kernel.run(() => kernel.rmmod(TOY_DEVLINK)) };

describeDevlinkDriver({
  ...toy, name: TOY_DEVLINK, handle: 'toy/toy0', flags: ['enable_eth', 'enable_rdma', 'enable_vnet'], reload: true, eswitch: true, sf: { pfnum: 0 },
});
describeDevlinkDriver({ ...toy, name: `${TOY_DEVLINK} without ops`, handle: 'toy/toy1', flags: [], reload: false, eswitch: false, sf: null });
