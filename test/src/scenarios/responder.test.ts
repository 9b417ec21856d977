import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readPacket, udpFrame, type Station } from '@vdpalab/machine';
import { expect, it } from 'vitest';
import { drain, startEnd, stopEnd, World, type End } from '../support/index.ts';

const RESPONDER: Station = { mac: Uint8Array.of(0x52, 0x54, 0, 0, 0, 0xfe), ip: Uint8Array.of(10, 0, 0, 1) };
const TFTP = 69;

/** A TFTP client over a vDPA device, as far as this test needs one: blocks of 1024 bytes. */
class Client {
  readonly #world: World;
  readonly #end: End;
  readonly #me: Station;

  constructor(world: World, end: End) {
    this.#world = world;
    this.#end = end;
    this.#me = { mac: end.net.mac, ip: Uint8Array.of(10, 0, 0, 9) };
  }

  async ask(frame: Uint8Array): Promise<Uint8Array> {
    await this.#world.lab.as(this.#end.process, () => this.#end.net.send(frame));
    const [answer, ...more] = await drain(this.#world, this.#end);
    if (answer === undefined || more.length > 0) throw new Error(`${more.length} answers, or none`);
    return answer;
  }

  async #datagram(port: number, payload: Uint8Array): Promise<{ port: number; payload: Uint8Array }> {
    const packet = readPacket(await this.ask(udpFrame(this.#me, 2000, RESPONDER, port, payload)), this.#me);
    if (typeof packet === 'string' || packet.kind !== 'udp') throw new Error(`no datagram: ${JSON.stringify(packet)}`);
    return { port: packet.fromPort, payload: packet.payload };
  }

  async put(name: string, data: Uint8Array): Promise<void> {
    let { port } = await this.#datagram(TFTP, Buffer.from(`\0\x02${name}\0octet\0blksize\x001024\0`));
    for (let block = 1; block <= Math.floor(data.length / 1024) + 1; block++) {
      const answer = await this.#datagram(port, Buffer.concat([Uint8Array.of(0, 3, block >> 8, block), data.subarray((block - 1) * 1024, block * 1024)]));
      if (answer.payload.join() !== `0,4,${block >> 8},${block & 255}`) throw new Error(`block ${block}: ${answer.payload.join()}`);
      ({ port } = answer);
    }
  }

  async get(name: string): Promise<Uint8Array> {
    let { port, payload } = await this.#datagram(TFTP, Buffer.from(`\0\x01${name}\0octet\0blksize\x001024\0`));
    const blocks: Uint8Array[] = [];
    for (let block = 0; block === 0 || blocks.at(-1)!.length === 1024; block++) {
      ({ port, payload } = await this.#datagram(port, Uint8Array.of(0, 4, block >> 8, block)));
      blocks.push(payload.slice(4));
    }
    return Buffer.concat(blocks);
  }
}

it('gives a process with a vDPA device a host to talk to: ARP, and files in both directions', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'responder-'));
  writeFileSync(join(folder, 'motd'), 'hello\n');
  const world = await World.create({ modules: ['vhost_vdpa', 'ifcvf', 'pci_pf_stub'], responders: [{ files: { motd: join(folder, 'motd') } }] });
  await world.addDevice('vdpa1', 1, 'vhost_vdpa');
  const end = await startEnd(world, 'vdpa1');
  const client = new Client(world, end);

  const arp = await client.ask(Buffer.concat([
    Buffer.from('ffffffffffff', 'hex'), end.net.mac, Buffer.from('080600010800060400 01'.replace(' ', ''), 'hex'),
    end.net.mac, Uint8Array.of(10, 0, 0, 9), new Uint8Array(6), RESPONDER.ip,
  ]));
  expect([...arp.subarray(22, 28)]).toEqual([...RESPONDER.mac]);

  expect(Buffer.from(await client.get('motd')).toString()).toBe('hello\n');
  const data = Uint8Array.from({ length: 20_000 }, (_, i) => (i * i) >> 3);
  await client.put('up', data);
  const responder = world.lab.pci.responders.get('responder')!;
  expect(Buffer.compare(responder.files.get('up')!, data)).toBe(0);
  expect(Buffer.compare(await client.get('up'), data)).toBe(0);
  expect(responder.counters).toMatchObject({ arp: 1, foreign: 0, malformed: 0, corrupt: 0 });

  await stopEnd(world, end);
  await world.delDevice('vdpa1');
  expect(await world.close()).toEqual([]);
  rmSync(folder, { recursive: true });
});
