/** How long virtual functions and their vDPA devices take, by number. */
import { createLab } from '@vdpalab/lab';
import {
  O_WRONLY, VDPA_ATTR_DEV_NAME, VDPA_ATTR_MGMTDEV_BUS_NAME, VDPA_ATTR_MGMTDEV_DEV_NAME, VDPA_CMD_DEV_DEL, VDPA_CMD_DEV_NEW,
  VDPA_GENL_NAME,
} from '@vdpalab/uapi';
import { GenlSocket } from '@vdpalab/user';
import { boundTo, claimPf, modprobe } from '../support/index.ts';
import { heapUsed } from './heap.ts';

/** Most virtual functions of one physical function. */
const PER_PF = 256;
const PF_BUSES = 2;

/** One size. */
export interface VfScale {
  readonly vfs: number;
  /** Milliseconds: sriov_numvfs, `vdpa dev add` with the binding to vhost_vdpa, `vdpa dev del`, sriov_numvfs 0. */
  readonly create: number;
  readonly add: number;
  readonly del: number;
  readonly remove: number;
  /** All of them. */
  readonly total: number;
  /** Heap bytes with everything there, less those before. */
  readonly heap: number;
}

/**
 * Make `vfs` virtual functions over as many physical ones as that takes, a vDPA device of each bound to vhost_vdpa, and remove all.
 *
 * @throws Error when a device is not bound, or something is left
 */
export async function scaleVfs(vfs: number): Promise<VfScale> {
  const pfs = Math.ceil(vfs / PER_PF);
  const each = Math.ceil(vfs / pfs);
  const two = (n: number): string => n.toString(16).padStart(2, '0');
  const bus = (n: number): number => 1 + n * PF_BUSES;
  const lab = await createLab({
    config: {
      memory: '128M',
      pci: {
        root_ports: Array.from({ length: pfs }, (_, n) => ({ at: `00:${two(n + 1)}.0`, bus: bus(n), buses: PF_BUSES })),
        functions: Array.from({ length: pfs }, (_, n) => ({ at: `${two(bus(n))}:00.0`, model: 'n3000' as const, sriov: { total: each, offset: 1, stride: 1 } })),
      },
    },
  });
  const names = Array.from({ length: pfs }, (_, n) => `0000:${two(bus(n))}:00.0`);
  await lab.user(async (p) => {
    for (const name of ['vhost_vdpa', 'ifcvf', 'pci_pf_stub']) await modprobe(lab, p, name);
    for (const pf of names) await claimPf(p, pf);
  });
  const timed = async (body: () => Promise<void>): Promise<number> => {
    const from = performance.now();
    await body();
    return performance.now() - from;
  };
  const setVfs = (count: number) => lab.user(async (p) => {
    for (const pf of names) await p.writeFile(`/sys/bus/pci/devices/${pf}/sriov_numvfs`, `${count}\n`, O_WRONLY);
  });
  const vdpa = (each_: (socket: GenlSocket, n: number) => Promise<unknown>) => lab.user(async (p) => {
    const socket = await GenlSocket.open(p, VDPA_GENL_NAME);
    for (let n = 0; n < vfs; n++) await each_(socket, n);
    await socket.close();
  });
  const vfName = (n: number): string => {
    const rid = (bus(Math.floor(n / each)) << 8) + 1 + (n % each);
    return `0000:${two(rid >> 8)}:${two((rid >> 3) & 31)}.${rid & 7}`;
  };

  const before = heapUsed();
  const create = await timed(() => setVfs(each));
  const add = await timed(() => vdpa((socket, n) => socket.request(VDPA_CMD_DEV_NEW, (b) => {
    b.putString(VDPA_ATTR_MGMTDEV_BUS_NAME, 'pci');
    b.putString(VDPA_ATTR_MGMTDEV_DEV_NAME, vfName(n));
    b.putString(VDPA_ATTR_DEV_NAME, `vdpa${n}`);
  })));
  const heap = heapUsed() - before;
  for (const n of [0, vfs - 1]) {
    const driver = await lab.user((p) => boundTo(p, `vdpa${n}`));
    if (driver !== 'vhost_vdpa') throw new Error(`vdpa${n} is bound to ${driver}`);
  }
  const del = await timed(() => vdpa((socket, n) => socket.request(VDPA_CMD_DEV_DEL, (b) => b.putString(VDPA_ATTR_DEV_NAME, `vdpa${n}`))));
  const remove = await timed(() => setVfs(0));
  const left = await lab.close();
  if (left.length > 0) throw new Error(`${vfs} virtual functions leave behind: ${left.join(', ')}`);
  return { vfs, create, add, del, remove, total: create + add + del + remove, heap };
}
