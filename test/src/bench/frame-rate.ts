/** Frames through the lab: over the main chain, and from process to process. */
import { packetSocket, startChain, startPair } from '../support/index.ts';

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
