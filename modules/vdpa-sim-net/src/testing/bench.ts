/** A network simulator held by the test's own bus driver, with memory and rings, for the tests of this package. */
import { bootBuiltins, DirectRings, toyBusDriver, VdpaTool } from '@vdpalab/testing';
import type { BootedKernel, BootOptions, DirectQueue } from '@vdpalab/testing';
import { VDPA_ATTR_DEV_NET_CFG_MACADDR, VDPA_ATTR_DEV_NET_CFG_MTU } from '@vdpalab/uapi';
import type { VdpaDevice } from '@vdpalab/vdpa-core';
import type {} from '@vdpalab/fs';
import type {} from '@vdpalab/mm';
import type {} from '@vdpalab/iommu';

/** What a simulator stands on. */
export const BELOW = [
  'sched', 'mm', 'fs', 'driver-core', 'iommu', 'netlink', 'vdpa-core', 'vhost-iotlb', 'vringh', 'vdpa-sim', 'vdpa-sim-net',
] as const;

/** Header in front of each frame, bytes. */
export const HDR = 12;

/** A kernel with the simulator's modules, and one device. */
export interface SimBench extends BootedKernel {
  readonly vdpa: VdpaDevice;
  readonly rings: DirectRings<VdpaDevice>;
  readonly tool: (body: (tool: VdpaTool<never>) => Promise<string>) => Promise<string>;
  /** Bring the device up with these queues ready: memory mapped, features negotiated, DRIVER_OK. */
  readonly start: (queues: readonly number[], features?: bigint, num?: number) => Promise<DirectQueue[]>;
  /** A frame in memory behind an empty header. @returns its place and length, header included */
  readonly frame: (bytes: Uint8Array | readonly number[]) => readonly [number, number];
}

/** Everything but the control queue's. */
export const FEATURES = 0x3_0880_0028n;

/** Boot, and `vdpa dev add name vdpa0 mgmtdev vdpasim_net mac MAC mtu MTU`. */
export async function bootSim(mac = [0x52, 0x54, 1, 2, 3, 4], options: BootOptions = {}): Promise<SimBench> {
  const driver = toyBusDriver<VdpaDevice>();
  const kernel = await bootBuiltins([...BELOW, driver.module], options);
  const { k } = kernel;
  const tool: SimBench['tool'] = (body) => kernel.user(async (proc) => {
    const t = await VdpaTool.open(k as never, proc as never); // its calls are those of `fs`
    try {
      return await body(t);
    } finally {
      await t.close();
    }
  });
  await tool((t) => t.add('vdpa0', 'vdpasim_net', (b) => {
    b.put(VDPA_ATTR_DEV_NET_CFG_MACADDR, Uint8Array.from(mac));
    b.putU16(VDPA_ATTR_DEV_NET_CFG_MTU, 1400);
  }));
  const vdpa = driver.devices.get('vdpa0');
  if (vdpa === undefined) throw new Error('the toy driver did not get vdpa0');
  const rings = new DirectRings(k as never, vdpa); // its calls are those of `mm`, `iommu` and `vhost_iotlb`
  return {
    ...kernel, vdpa, rings, tool,
    start: (queues, features = FEATURES, num = 16) => kernel.run(async () => {
      await k.vdpa_set_status(vdpa, 3);
      await k.vdpa_set_features(vdpa, features);
      await k.vdpa_set_status(vdpa, 11);
      for (let asid = 0; asid < vdpa.nas; asid++) await rings.map(asid);
      const got: DirectQueue[] = [];
      for (const q of queues) got.push(await rings.queue(q, num));
      await k.vdpa_set_status(vdpa, 15);
      return got;
    }),
    frame(bytes) {
      const at = rings.take(HDR + bytes.length);
      rings.bytes.set(bytes, at + HDR);
      return [at, HDR + bytes.length];
    },
  };
}
