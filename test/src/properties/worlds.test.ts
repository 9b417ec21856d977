import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CHAIN_MODULES, hexOf, loadOrder, sessionFrames, startChain, type ChainOptions } from '../support/index.ts';

const mac = fc.tuple(fc.integer({ min: 0, max: 0x3f }), ...Array.from({ length: 5 }, () => fc.integer({ min: 0, max: 255 })))
  .map((bytes) => bytes.map((b, i) => (i === 0 ? b * 4 + 2 : b).toString(16).padStart(2, '0')).join(':')); // local, unicast

const name = fc.stringMatching(/^[a-z][a-z0-9_.-]{0,14}$/);

/** Where the functions lie: always inside the buses behind the port. */
const site = fc.record({
  port: fc.integer({ min: 1, max: 31 }), bus: fc.integer({ min: 1, max: 240 }), offset: fc.integer({ min: 1, max: 300 }),
  stride: fc.integer({ min: 1, max: 300 }), totalVfs: fc.integer({ min: 2, max: 8 }),
}).map((s) => ({ ...s, device: 0, buses: ((s.offset + (s.totalVfs - 1) * s.stride) >> 8) + 1 }));

const world: fc.Arbitrary<ChainOptions> = fc.record({
  seed: fc.integer({ min: 0, max: 0x7fff_ffff }),
  site,
  names: fc.uniqueArray(name, { minLength: 2, maxLength: 2 }).map((pair) => [pair[0] as string, pair[1] as string] as const),
  macs: fc.uniqueArray(mac, { minLength: 2, maxLength: 2 }),
  queueSize: fc.integer({ min: 6, max: 11 }).map((n) => 2 ** n),
  // Indices among what can come next; the list is used round and round.
  choices: fc.array(fc.nat(1000), { minLength: 4, maxLength: 12 }),
}).map(({ choices, ...rest }) => {
  let at = 0;
  return { ...rest, insmodOrder: loadOrder(CHAIN_MODULES, (n) => (choices[at++ % choices.length] as number) % n) };
});

describe('any world', () => {
  it('passes frames, whatever the names, addresses, sizes and the order of loading', async () => {
    const frames = sessionFrames().filter((f) => f.length <= 1514).slice(0, 20);
    await fc.assert(fc.asyncProperty(world, async (options) => {
      const chain = await startChain(options);
      const { world: w } = chain;
      const address = await w.lab.user((p) => p.readFile(`/sys/class/net/${chain.link}/address`));
      expect(address.trim()).toBe(options.macs?.[0]);
      expect(hexOf(await chain.pass(frames))).toEqual(hexOf(frames));
      expect(w.complaints()).toEqual([]);
      expect(await chain.close()).toEqual([]);
    }), { numRuns: 15 });
  }, 60_000);
});
