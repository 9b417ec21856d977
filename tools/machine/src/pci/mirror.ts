/** A machine for tests of network functions: what a function sends comes back to it. */
import type { Machine } from '@vdpalab/abi';
import { createMachine } from '../machine.ts';
import { InjectionPort } from '../net/injection.ts';
import { createPciHost } from './create.ts';
import type { ModelConfig } from './create.ts';

/**
 * 32 MiB, an IOMMU, and a switch `sw0` with a station that sends each frame back as it came.
 *
 * @param card at 07:00.0, plugged into `sw0`
 */
export function mirrorMachine(seed: number, card: ModelConfig & { readonly at: '07:00.0'; readonly link: 'sw0' }): Machine {
  const hw = createMachine({ seed, ramBytes: 32 << 20, iommu: true, cmdline: '', release: '6.1.0', consoleSink: () => undefined });
  const { networks } = createPciHost(hw, {
    root_ports: [{ at: '00:01.0', bus: 7, buses: 1, acs: true }], functions: [card],
  }, [{ name: 'sw0', kind: 'switch' }]);
  const station = new InjectionPort(networks.get('sw0')!.attach('station')!); // a switch, just made, has room
  station.onReceive = (): undefined => {
    for (const frame of station.take()) station.inject(frame);
  };
  return hw.machine;
}
