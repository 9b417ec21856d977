/** What the `vdpa` tool of iproute2 does, as calls. */
import type { UserProcess } from '@vdpalab/lab';
import {
  VDPA_ATTR_DEV_FEATURES, VDPA_ATTR_DEV_NAME, VDPA_ATTR_DEV_NET_CFG_MACADDR, VDPA_ATTR_DEV_NET_CFG_MAX_VQP, VDPA_ATTR_DEV_NET_CFG_MTU,
  VDPA_ATTR_MGMTDEV_BUS_NAME, VDPA_ATTR_MGMTDEV_DEV_NAME, VDPA_CMD_DEV_DEL, VDPA_CMD_DEV_GET, VDPA_CMD_DEV_NEW, VDPA_CMD_MGMTDEV_GET,
  VDPA_GENL_NAME, type NlaBuilder,
} from '@vdpalab/uapi';
import { GenlSocket } from './genl.ts';

/** What `vdpa dev add` may say besides names. */
export interface VdpaDevAttributes {
  readonly mac?: Uint8Array;
  readonly mtu?: number;
  readonly maxVqp?: number;
  readonly features?: bigint;
}

async function withFamily<T>(p: UserProcess, body: (socket: GenlSocket) => Promise<T>): Promise<T> {
  const socket = await GenlSocket.open(p, VDPA_GENL_NAME);
  try {
    return await body(socket);
  } finally {
    await socket.close();
  }
}

/** `pci/0000:07:00.2` or, for a manager without a bus, `vdpasim_net`. */
function putHandle(b: NlaBuilder, mgmtdev: string): void {
  const slash = mgmtdev.indexOf('/');
  if (slash >= 0) b.putString(VDPA_ATTR_MGMTDEV_BUS_NAME, mgmtdev.slice(0, slash));
  b.putString(VDPA_ATTR_MGMTDEV_DEV_NAME, mgmtdev.slice(slash + 1));
}

/**
 * `vdpa dev add name NAME mgmtdev HANDLE`
 *
 * @throws NetlinkError the kernel's refusal
 */
export async function vdpaDevAdd(p: UserProcess, name: string, mgmtdev: string, attrs: VdpaDevAttributes = {}): Promise<void> {
  await withFamily(p, (socket) => socket.request(VDPA_CMD_DEV_NEW, (b) => {
    putHandle(b, mgmtdev);
    b.putString(VDPA_ATTR_DEV_NAME, name);
    if (attrs.mac !== undefined) b.put(VDPA_ATTR_DEV_NET_CFG_MACADDR, attrs.mac);
    if (attrs.mtu !== undefined) b.putU16(VDPA_ATTR_DEV_NET_CFG_MTU, attrs.mtu);
    if (attrs.maxVqp !== undefined) b.putU16(VDPA_ATTR_DEV_NET_CFG_MAX_VQP, attrs.maxVqp);
    if (attrs.features !== undefined) b.putU64(VDPA_ATTR_DEV_FEATURES, attrs.features);
  }));
}

/** `vdpa dev del NAME`. @throws NetlinkError the kernel's refusal */
export async function vdpaDevDel(p: UserProcess, name: string): Promise<void> {
  await withFamily(p, (socket) => socket.request(VDPA_CMD_DEV_DEL, (b) => b.putString(VDPA_ATTR_DEV_NAME, name)));
}

/** `vdpa dev show`. @returns names, oldest first */
export async function vdpaDevNames(p: UserProcess): Promise<string[]> {
  return (await withFamily(p, (socket) => socket.dump(VDPA_CMD_DEV_GET))).map((m) => m.string(VDPA_ATTR_DEV_NAME));
}

/** `vdpa mgmtdev show`. @returns handles as {@link vdpaDevAdd} takes them */
export async function vdpaMgmtdevs(p: UserProcess): Promise<string[]> {
  return (await withFamily(p, (socket) => socket.dump(VDPA_CMD_MGMTDEV_GET))).map((m) => {
    const bus = m.has(VDPA_ATTR_MGMTDEV_BUS_NAME) ? `${m.string(VDPA_ATTR_MGMTDEV_BUS_NAME)}/` : '';
    return `${bus}${m.string(VDPA_ATTR_MGMTDEV_DEV_NAME)}`;
  });
}
