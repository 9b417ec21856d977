/** Frames through the lab: over the main chain, from process to process, and over a device made of software. */
import { createLab } from '@vdpalab/lab';
import { vdpaDevAdd, vdpaDevDel } from '@vdpalab/user';
import { linkUp, modprobe, packetSocket, startChain, startPair } from '../support/index.ts';

/** Frames of one slice: no more than receive and transmit rings hold. */
const SLICE = 64;
const SLICES = 200;
const WARM_UP = 150;

const frameOf = (length: number): Uint8Array => new Uint8Array(length).fill(0x5a).fill(0xff, 0, 6);

/** @param slice sends `SLICE` frames and takes them. @returns least nanoseconds per frame */
async function best(slice: () => Promise<number>): Promise<number> {
  let least = Infinity;
  for (let n = 0; n < WARM_UP + SLICES; n++) {
    const from = process.hrtime.bigint();
    const arrived = await slice();
    const ns = Number(process.hrtime.bigint() - from) / SLICE;
    if (arrived !== SLICE) throw new Error(`${arrived} of ${SLICE} frames arrived`);
    if (n >= WARM_UP) least = Math.min(least, ns);
  }
  return least;
}

function noLeftovers(left: readonly string[]): void {
  if (left.length > 0) throw new Error(`left behind: ${left.join(', ')}`);
}

/** Packet socket, virtio-net, virtio-vdpa, IFCVF, switch, IFCVF, vhost-vdpa, process. @returns nanoseconds per frame */
export async function chainNs(length: number): Promise<number> {
  const chain = await startChain();
  const { world: { lab }, sender, receiver, link } = chain;
  const socket = await lab.as(sender, (p) => packetSocket(p, link));
  const frame = frameOf(length);
  const ns = await best(async () => {
    await lab.as(sender, async (p) => {
      for (let i = 0; i < SLICE; i++) await p.write(socket, frame);
    });
    return await lab.as(receiver.process, async () => (await receiver.net.receive()).length);
  });
  noLeftovers(await chain.close());
  return ns;
}

/** From one process with a mapped doorbell to another that polls. @returns nanoseconds per frame */
export async function pairNs(length: number): Promise<number> {
  const pair = await startPair({ a: { mappedDoorbells: true }, b: { mappedDoorbells: true } });
  const { world: { lab }, a, b } = pair;
  const frame = frameOf(length);
  const ns = await best(async () => {
    await lab.as(a.process, async () => {
      for (let i = 0; i < SLICE; i++) await a.net.send(frame);
    });
    return await lab.as(b.process, async () => (await b.net.receive()).length);
  });
  noLeftovers(await pair.close());
  return ns;
}

/** Packet socket, virtio-net, virtio-vdpa, vdpa_sim_net, and the same way back to the interface. @returns nanoseconds per frame */
export async function simulatorNs(length: number): Promise<number> {
  const lab = await createLab({ config: { memory: '64M' } });
  await lab.user(async (p) => {
    for (const name of ['virtio_vdpa', 'virtio_net', 'vdpa_sim_net']) await modprobe(lab, p, name);
    await vdpaDevAdd(p, 'vdpa0', 'vdpasim_net', { mac: Uint8Array.of(2, 0, 0, 0, 0, 1) });
  });
  await linkUp(lab, 'eth0', 1500);
  const sender = await lab.process('sender');
  const socket = await lab.as(sender, (p) => packetSocket(p, 'eth0'));
  const frame = frameOf(length);
  const stats = await lab.kernel(async () => lab.symbol('dev_get_by_name')('eth0')?.stats);
  const ns = await best(async () => {
    const before = stats?.rx_packets ?? 0;
    await lab.as(sender, async (p) => {
      for (let i = 0; i < SLICE; i++) await p.write(socket, frame);
    });
    await lab.run();
    return (stats?.rx_packets ?? 0) - before;
  });
  await lab.exitProcess(sender);
  await lab.user((p) => vdpaDevDel(p, 'vdpa0'));
  noLeftovers(await lab.close());
  return ns;
}
