import { isKernelError } from '@vdpalab/abi';
import { createLab, type Lab, type UserProcess } from '@vdpalab/lab';
import { describeRun } from '@vdpalab/machine';
import { covers } from '@vdpalab/testing';
import { O_RDWR, O_WRONLY, VHOST_SET_OWNER } from '@vdpalab/uapi';
import { NetlinkError, vdpaDevAdd, vdpaDevDel, vdpaDevNames } from '@vdpalab/user';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { modprobe } from '../support/index.ts';

const MODULES = ['vhost_vdpa', 'virtio_vdpa', 'virtio_net', 'vdpa_sim_net'] as const;
const DRIVERS = ['vhost_vdpa', 'virtio_vdpa'] as const;
const DEVICES = ['vdpa0', 'vdpa1'] as const;

const store = (p: UserProcess, path: string, text: string): Promise<void> => p.writeFile(`/sys/bus/vdpa/${path}`, `${text}\n`, O_WRONLY);
const relax = async (lab: Lab, times: number): Promise<void> => {
  for (let i = 0; i < times; i++) await lab.symbol('cpu_relax')();
};

/** What a process may do to the bus; `n` chooses among drivers, devices, nodes and modules. */
const ACTS = {
  bind: (p: UserProcess, _: Lab, n: number) => store(p, `drivers/${DRIVERS[n % 2]}/bind`, DEVICES[(n >> 1) % 2] ?? ''),
  unbind: (p: UserProcess, _: Lab, n: number) => store(p, `drivers/${DRIVERS[n % 2]}/unbind`, DEVICES[(n >> 1) % 2] ?? ''),
  probe: (p: UserProcess, _: Lab, n: number) => store(p, 'drivers_probe', DEVICES[n % 2] ?? ''),
  override: (p: UserProcess, _: Lab, n: number) => store(p, `devices/${DEVICES[n % 2]}/driver_override`, [...DRIVERS, '', 'nobody'][(n >> 1) % 4] ?? ''),
  add: (p: UserProcess, _: Lab, n: number) => vdpaDevAdd(p, DEVICES[n % 2] ?? '', 'vdpasim_net'),
  del: (p: UserProcess, _: Lab, n: number) => vdpaDevDel(p, DEVICES[n % 2] ?? ''),
  show: async (p: UserProcess) => void await vdpaDevNames(p),
  open: async (p: UserProcess, lab: Lab, n: number) => {
    const fd = await p.open(`/dev/vhost-vdpa-${n % 2}`, O_RDWR);
    try {
      if (n % 3 !== 0) await p.ioctl(fd, VHOST_SET_OWNER);
      await relax(lab, n);
    } finally {
      await p.close(fd);
    }
  },
  rmmod: (_: UserProcess, lab: Lab, n: number) => lab.symbol('delete_module')(MODULES[n % 4] ?? '', 0),
  modprobe: (p: UserProcess, lab: Lab, n: number) => modprobe(lab, p, MODULES[n % 4] ?? ''),
} as const;

type Act = keyof typeof ACTS;

/** What whoever comes early, late or at the same time may be told. */
const REFUSALS = ['ENODEV', 'ENOENT', 'EBUSY', 'EEXIST', 'EINVAL', 'EAGAIN', 'ENXIO', 'ENOTCONN', 'EOPNOTSUPP'];

const act = fc.record({ act: fc.constantFrom(...Object.keys(ACTS) as Act[]), n: fc.nat(40), delay: fc.nat(30) });

/** Each act with room to succeed: what chance draws may refuse some of them every time. */
const EACH: { act: Act; n: number; delay: number }[] = [
  { act: 'show', n: 0, delay: 0 }, { act: 'open', n: 1, delay: 0 }, { act: 'unbind', n: 0, delay: 10 }, { act: 'override', n: 0, delay: 12 },
  { act: 'bind', n: 0, delay: 20 }, { act: 'probe', n: 1, delay: 22 }, { act: 'del', n: 1, delay: 30 }, { act: 'add', n: 1, delay: 45 },
  { act: 'rmmod', n: 2, delay: 50 }, { act: 'modprobe', n: 2, delay: 60 },
];

describe('a storm on the vDPA bus', () => {
  it('ends once the files are closed, in whatever order, with every table empty', async () => {
    covers('F22');
    const seen = new Set<string>();
    await fc.assert(fc.asyncProperty(fc.nat(0x7fff_ffff), fc.array(act, { minLength: 4, maxLength: 24 }), async (seed, acts) => {
      const lab = await createLab({ config: { memory: '16M', iommu: false }, seed });
      await lab.user(async (p) => {
        for (const name of MODULES) await modprobe(lab, p, name);
        for (const name of DEVICES) await vdpaDevAdd(p, name, 'vdpasim_net');
      });
      const processes: UserProcess[] = [];
      for (const { act: name, n, delay } of acts) {
        const process = await lab.process(name);
        processes.push(process);
        lab.start(process, name, async (p) => {
          await relax(lab, delay);
          try {
            await ACTS[name](p, lab, n);
            seen.add(name);
          } catch (error) {
            const errno = isKernelError(error) || error instanceof NetlinkError ? error.errno : null;
            if (errno === null && !(error instanceof Error && /no netlink family|Netlink/.test(error.message))) throw error;
            if (errno !== null) expect(REFUSALS).toContain(errno);
          }
        });
      }
      const result = await lab.run();
      expect(result.kind === 'idle' ? 'idle' : describeRun(result)).toBe('idle');
      for (const process of processes) await lab.exitProcess(process);
      await lab.user(async () => {
        for (const name of [...MODULES].reverse()) if (lab.loader.modules().some((m) => m.name === name)) await lab.symbol('delete_module')(name, 0);
      });
      expect(await lab.close()).toEqual([]);
    }), { numRuns: 25, examples: [[1, EACH]] });
    expect([...seen].sort()).toEqual(Object.keys(ACTS).sort()); // each of them succeeded somewhere
  }, 120_000);
});
