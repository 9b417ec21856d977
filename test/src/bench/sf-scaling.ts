/** How long subfunctions take to come and go, by number. */
import { createLab } from '@vdpalab/lab';
import * as uapi from '@vdpalab/uapi';
import { GenlSocket, vdpaMgmtdevs } from '@vdpalab/user';
import { modprobe } from '../support/index.ts';
import { heapUsed } from './heap.ts';

/** Port of the first subfunction. */
const FIRST_PORT = 0x8000;

/** One size. */
export interface SfScale {
  readonly sfs: number;
  /** Milliseconds of `port add`, `state active` with the probe, `vdpa dev add` and `del`, `state inactive`, `port del`. */
  readonly add: number;
  readonly activate: number;
  readonly vdpaAdd: number;
  readonly vdpaDel: number;
  readonly deactivate: number;
  readonly del: number;
  /** All of them. */
  readonly total: number;
  /** Heap bytes with everything there, less those before. */
  readonly heap: number;
}

/**
 * Make `sfs` subfunctions of a ConnectX, activate them, give each a vDPA device, and take all away, the oldest first.
 *
 * @throws Error when a subfunction is missing, or something is left
 */
export async function scaleSfs(sfs: number): Promise<SfScale> {
  const lab = await createLab({
    config: {
      memory: '512M',
      pci: { root_ports: [{ at: '00:01.0', bus: 8 }], functions: [{ at: '08:00.0', model: 'connectx', subfunctions: sfs, vectors: 256 }] },
    },
  });
  await lab.user((p) => modprobe(lab, p, 'mlx5_vdpa'));
  const request = async (family: string, cmd: number, count: number, fill: (b: uapi.NlaBuilder, n: number) => void): Promise<number> => {
    const from = performance.now();
    await lab.user(async (p) => {
      const socket = await GenlSocket.open(p, family);
      for (let n = 0; n < count; n++) await socket.request(cmd, (b) => fill(b, n));
      await socket.close();
    });
    return performance.now() - from;
  };
  const ask = (cmd: number, count: number, fill: (b: uapi.NlaBuilder, n: number) => void): Promise<number> => request(uapi.DEVLINK_GENL_NAME, cmd, count, (b, n) => {
    b.putString(uapi.DEVLINK_ATTR_BUS_NAME, 'pci');
    b.putString(uapi.DEVLINK_ATTR_DEV_NAME, '0000:08:00.0');
    fill(b, n);
  });
  const setState = (state: number): Promise<number> => ask(uapi.DEVLINK_CMD_PORT_SET, sfs, (b, n) => {
    b.putU32(uapi.DEVLINK_ATTR_PORT_INDEX, FIRST_PORT + n);
    const nest = b.nestStart(uapi.DEVLINK_ATTR_PORT_FUNCTION | uapi.NLA_F_NESTED);
    b.putU8(uapi.DEVLINK_PORT_FN_ATTR_STATE, state);
    b.nestEnd(nest);
  });

  await ask(uapi.DEVLINK_CMD_ESWITCH_SET, 1, (b) => b.putU16(uapi.DEVLINK_ATTR_ESWITCH_MODE, uapi.DEVLINK_ESWITCH_MODE_SWITCHDEV));
  const before = heapUsed();
  const add = await ask(uapi.DEVLINK_CMD_PORT_NEW, sfs, (b, n) => {
    b.putU16(uapi.DEVLINK_ATTR_PORT_FLAVOUR, uapi.DEVLINK_PORT_FLAVOUR_PCI_SF);
    b.putU16(uapi.DEVLINK_ATTR_PORT_PCI_PF_NUMBER, 0);
    b.putU32(uapi.DEVLINK_ATTR_PORT_PCI_SF_NUMBER, n);
  });
  const activate = await setState(uapi.DEVLINK_PORT_FN_STATE_ACTIVE);
  const managers = (await lab.user((p) => vdpaMgmtdevs(p))).filter((handle) => handle.startsWith('auxiliary/'));
  if (managers.length !== sfs) throw new Error(`${managers.length} subfunctions of ${sfs}`);
  const vdpaAdd = await request(uapi.VDPA_GENL_NAME, uapi.VDPA_CMD_DEV_NEW, sfs, (b, n) => {
    b.putString(uapi.VDPA_ATTR_MGMTDEV_BUS_NAME, 'auxiliary');
    b.putString(uapi.VDPA_ATTR_MGMTDEV_DEV_NAME, managers[n]!.slice('auxiliary/'.length));
    b.putString(uapi.VDPA_ATTR_DEV_NAME, `vdpa${n}`);
  });
  const heap = heapUsed() - before;
  const vdpaDel = await request(uapi.VDPA_GENL_NAME, uapi.VDPA_CMD_DEV_DEL, sfs, (b, n) => b.putString(uapi.VDPA_ATTR_DEV_NAME, `vdpa${n}`));
  const deactivate = await setState(uapi.DEVLINK_PORT_FN_STATE_INACTIVE);
  const del = await ask(uapi.DEVLINK_CMD_PORT_DEL, sfs, (b, n) => b.putU32(uapi.DEVLINK_ATTR_PORT_INDEX, FIRST_PORT + n));
  const there = (await lab.user((p) => p.readdir('/sys/bus/auxiliary/devices'))).filter(({ name }) => name.startsWith('mlx5_core.sf.'));
  const left = [...there.map(({ name }) => name), ...await lab.close()];
  if (left.length > 0) throw new Error(`${sfs} subfunctions leave behind: ${left.join(', ')}`);
  return { sfs, add, activate, vdpaAdd, vdpaDel, deactivate, del, total: add + activate + vdpaAdd + vdpaDel + deactivate + del, heap };
}
