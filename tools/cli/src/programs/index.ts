/** Programs the command adds to the lab's own. */
import { applets, type AppletTable } from '@vdpalab/shell';
import { calls } from './calls.ts';
import { explain } from './explain.ts';
import { fail } from './fail.ts';
import { pcapcmp } from './pcapcmp.ts';
import { vduseBlk } from './vduse-blk.ts';
import { vfioDev } from './vfio-dev.ts';
import { vhostNet } from './vhost-net.ts';
import { vhostUser } from './vhost-user.ts';
import { vhosttest } from './vhosttest.ts';

/** Every program a lab started from the command has. */
export const programs: AppletTable = new Map([
  ...applets, ['vhost-net', vhostNet], ['vhost-user', vhostUser], ['vhosttest', vhosttest], ['vduse-blk', vduseBlk], ['vfio-dev', vfioDev], ['pcapcmp', pcapcmp],
  ['explain', explain], ['calls', calls], ['fail', fail],
]);
