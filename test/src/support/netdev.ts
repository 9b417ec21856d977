/** The kernel's end of the chain: a network interface over virtio, and a packet socket on it. */
import type { Lab, UserProcess } from '@vdpalab/lab';
import { isKernelError } from '@vdpalab/abi';
import { AF_PACKET, SOCK_RAW, sockaddr_ll } from '@vdpalab/uapi';

/** What was sent and what the socket refused. */
export interface Sent {
  readonly frames: readonly Uint8Array[];
  /** Frames over the MTU: EMSGSIZE. */
  readonly refused: readonly Uint8Array[];
}

/** Name of the interface behind a vDPA device bound to virtio_vdpa. */
export async function interfaceOf(p: UserProcess, vf: string): Promise<string> {
  const virtio = (await p.readdir(`/sys/bus/pci/devices/${vf}`)).find((e) => /^virtio\d+$/.test(e.name));
  if (virtio === undefined) throw new Error(`${vf} carries no virtio device`);
  const [net] = await p.readdir(`/sys/bus/pci/devices/${vf}/${virtio.name}/net`);
  if (net === undefined) throw new Error(`${virtio.name} has no interface`);
  return net.name;
}

/** `ip link set dev NAME mtu MTU up` */
export async function linkUp(lab: Lab, name: string, mtu: number): Promise<void> {
  await lab.kernel(async () => {
    const dev = lab.symbol('dev_get_by_name')(name);
    if (dev === null) throw new Error(`no interface ${name}`);
    await lab.symbol('dev_set_mtu')(dev, mtu);
    await lab.symbol('dev_open')(dev);
  });
}

/** A packet socket bound to an interface. @returns its descriptor */
export async function packetSocket(p: UserProcess, name: string): Promise<number> {
  const ifindex = Number(await p.readFile(`/sys/class/net/${name}/ifindex`));
  const fd = await p.socket(AF_PACKET, SOCK_RAW, 0);
  await p.bind(fd, sockaddr_ll.encode({ sll_family: AF_PACKET, sll_ifindex: ifindex }));
  return fd;
}

/** Send frames in order through a packet socket. @throws whatever is no EMSGSIZE */
export async function sendAll(p: UserProcess, fd: number, frames: readonly Uint8Array[]): Promise<Sent> {
  const sent: Uint8Array[] = [];
  const refused: Uint8Array[] = [];
  for (const frame of frames) {
    try {
      await p.write(fd, frame);
      sent.push(frame);
    } catch (error) {
      if (!isKernelError(error) || error.errno !== 'EMSGSIZE') throw error;
      refused.push(frame);
    }
  }
  return { frames: sent, refused };
}
