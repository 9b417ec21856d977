import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startBackEnd, type BackEnd } from '../../support/vhost-user.ts';
import { unreal } from '../mounted-lab.ts';
import { Guest, type GuestOptions } from './guest.ts';
import { GuestImage, missing, required } from './image.ts';
import { vhostUserCard } from './vhost-user-card.ts';
import { httpBothWays, linkUp, ping, tftpBothWays, type Peer } from './traffic.ts';

const absent = missing() ?? unreal;
const MIB = 2 ** 20;
const PEER: Peer = { ip: '10.0.0.1' };
/** Milliseconds for several boots on a loaded machine. */
const SLOW = 300_000;

describe.skipIf(absent !== null && !required)(`QEMU's -netdev vhost-user${absent === null ? '' : ` (missing: ${absent})`}`, () => {
  let image: GuestImage;
  let guest: Guest | null = null;
  let backEnd: BackEnd | null = null;

  beforeAll(() => {
    image = new GuestImage();
  });
  afterAll(async () => {
    await guest?.kill();
    await backEnd?.close();
    image.close();
  });

  async function boot(path: string, options: GuestOptions = {}): Promise<Guest> {
    guest = await Guest.start(image, { ...options, shared: true, args: vhostUserCard(path) });
    return guest;
  }

  it('drives a virtual function through a socket: pings, files, restart, death in mid-traffic, and the next one', async () => {
    backEnd = await startBackEnd({ world: { responders: [{}] } });
    const { path, world } = backEnd;
    const responder = world.lab.pci.responders.get('responder')!;
    let vm = await boot(path, { restarts: true });
    await linkUp(vm);
    expect(await ping(vm, PEER, 50)).toMatchObject({ sent: 50, received: 50 });
    await tftpBothWays(vm, PEER, MIB / 4);
    await httpBothWays(vm, PEER, 2 * MIB);
    expect(responder.counters).toMatchObject({ malformed: 0, corrupt: 0 });

    await vm.restart();
    await linkUp(vm);
    expect(await ping(vm, PEER, 20)).toMatchObject({ sent: 20, received: 20 });

    await vm.ok('head -c 4194304 /dev/urandom > /tmp/big; (while true; do tftp -p -b 1428 -l /tmp/big -r big 10.0.0.1; done) > /tmp/log 2>&1 &');
    const over = backEnd.said(/closed/);
    await vm.kill();
    await over;

    vm = await boot(path);
    await linkUp(vm);
    expect(await ping(vm, PEER, 20)).toMatchObject({ sent: 20, received: 20 });
    await vm.poweroff();
    guest = null;
    const left = await backEnd.close();
    backEnd = null;
    expect(left).toEqual([]);
  }, SLOW);
});
