/** `vfio-dev`: a process of the lab that uses VFIO devices, command by command. */
import { isKernelError } from '@vdpalab/abi';
import type { Applet, Program } from '@vdpalab/shell';
import { POLLIN, VFIO_GROUP_FLAGS_VIABLE, VFIO_IOMMU_DIRTY_PAGES_FLAG_START, VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP } from '@vdpalab/uapi';
import { dirtyBitmap, dirtyPages, VfioGroupFile, VfioSession, VhostIoctls, type OpenVfioDevice } from '@vdpalab/user';
import { vhostCommand } from './vfio-dev-vhost.ts';

const usage = `usage: vfio-dev DEVICE[,DEVICE...] [COMMAND...] | vfio-dev -g GROUP
Open the devices in one container with a type 1 IOMMU, and do what each argument says:
  info  region N  irq N          what the device has, a region, an interrupt index
  read N AT LEN  write N AT HEX  a region through the file
  peek N AT LEN  poke N AT HEX   a region through a mapping
  dma-map IOVA SIZE  dma-unmap IOVA SIZE  put IOVA HEX  get IOVA LEN
                                 memory of this process that the devices reach
  dirty-on  dirty-off  dirty IOVA SIZE  dma-unmap-dirty IOVA SIZE
                                 track dirty pages; which there are of a range, a bit each
  eventfd N  count N  irq-off N  count interrupts of an index, say how many there were since, count no more
  reset  use N  close  sleep SECONDS
                                 the device; take the Nth one from now on; close it; keep all open for a while
  vhost owner  vhost id  vhost status [N]  vhost features [N]  vhost config AT LEN
  vhost num-max  vhost num Q N  vhost base Q [N]  vhost addr Q DESC AVAIL USED
  vhost kick Q  vhost call Q  vhost enable Q 0|1
                                 vhost ioctls on the device, which vhost_mdev has; kick and call are new eventfds
Numbers may be hexadecimal with 0x. Exit status 1 when a command failed. With -g, say what the group /dev/vfio/GROUP is ready for.
`;

/** What a run keeps. */
interface State {
  readonly c: Program;
  readonly session: VfioSession;
  device: OpenVfioDevice;
  /** Eventfds, by device and interrupt index. */
  readonly eventfds: Map<string, number>;
}

type Command = (state: State, ...args: number[]) => Promise<string>;

const hex = (n: number | bigint): string => `0x${n.toString(16)}`;
const spaced = (bytes: Uint8Array): string => Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join(' ');

/** Commands whose arguments are numbers: how many they take, and what they do. */
const commands: Readonly<Record<string, readonly [arity: number, run: Command]>> = {
  info: [0, async ({ device }) => {
    const { flags, num_regions, num_irqs } = await device.file.info();
    return `flags ${hex(flags)}, ${num_regions} regions, ${num_irqs} irqs`;
  }],
  region: [1, async ({ device }, n = 0) => {
    const { flags, size, offset } = await device.file.regionInfo(n);
    return `flags ${hex(flags)}, ${hex(size)} bytes at ${hex(offset)}`;
  }],
  irq: [1, async ({ device }, n = 0) => {
    const { flags, count } = await device.file.irqInfo(n);
    return `flags ${hex(flags)}, count ${count}`;
  }],
  read: [3, async ({ session, device }, n = 0, at = 0, len = 0) => spaced(await session.read(device, n, at, len))],
  peek: [3, async ({ session, device, c }, n = 0, at = 0, len = 0) => session.mapped(device, n, at, len, (va) => spaced(c.p.proc.mm.read(va, len)))],
  'dma-map': [2, async ({ session }, iova = 0, size = 0) => {
    await session.dmaMap(iova, size);
    return 'ok';
  }],
  'dma-unmap': [2, async ({ session }, iova = 0, size = 0) => `${await session.dmaUnmap(iova, size)} bytes`],
  'dirty-on': [0, async ({ c, session }) => {
    await dirtyPages(c.p, session.container.fd, VFIO_IOMMU_DIRTY_PAGES_FLAG_START);
    return 'ok';
  }],
  'dirty-off': [0, async ({ c, session }) => {
    await dirtyPages(c.p, session.container.fd, VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP);
    return 'ok';
  }],
  dirty: [2, async ({ c, session }, iova = 0, size = 0) => spaced(await dirtyBitmap(c.p, session.container.fd, BigInt(iova), BigInt(size)))],
  'dma-unmap-dirty': [2, async ({ session }, iova = 0, size = 0) => {
    const { unmapped, bits } = await session.dmaUnmapDirty(iova, size);
    return `${unmapped} bytes, dirty ${spaced(bits)}`;
  }],
  get: [2, async ({ session, c }, iova = 0, len = 0) => spaced(c.p.proc.mm.read(own(session, iova), len))],
  eventfd: [1, async (state, n = 0) => {
    const fd = state.c.p.eventfd();
    await state.device.file.setTriggers(n, [fd]);
    state.eventfds.set(`${state.device.name} ${n}`, fd);
    return 'ok';
  }],
  count: [1, async (state, n = 0) => {
    const fd = state.eventfds.get(`${state.device.name} ${n}`);
    if (fd === undefined) throw new TypeError(`no eventfd for interrupt ${n}`);
    const [ready = 0] = await state.c.p.poll([{ fd, events: POLLIN }], 0);
    if ((ready & POLLIN) === 0) return '0';
    return String(new DataView(Uint8Array.from(await state.c.p.read(fd, 8)).buffer).getBigUint64(0, true));
  }],
  'irq-off': [1, async ({ device }, n = 0) => {
    await device.file.disableIrqs(n);
    return 'ok';
  }],
  reset: [0, async ({ device }) => {
    await device.file.reset();
    return 'ok';
  }],
  use: [1, async (state, n = 1) => {
    const device = state.session.devices[n - 1];
    if (device === undefined) throw new TypeError(`${state.session.devices.length} devices are open`);
    state.device = device;
    return device.name;
  }],
  close: [0, async ({ session, device }) => {
    await session.closeDevice(device);
    return 'ok';
  }],
  sleep: [1, async ({ c }, seconds = 0) => {
    await c.flush();
    await c.p.poll([], seconds * 1e9);
    return 'ok';
  }],
};

/** Commands whose last argument is bytes. */
const writers: Readonly<Record<string, readonly [arity: number, run: (state: State, bytes: Uint8Array, ...args: number[]) => Promise<string>]>> = {
  write: [2, async ({ session, device }, bytes, n = 0, at = 0) => `${await session.write(device, n, at, bytes)} bytes`],
  poke: [2, async ({ session, device, c }, bytes, n = 0, at = 0) => {
    await session.mapped(device, n, at, bytes.length, (va) => c.p.proc.mm.write(va, bytes));
    return 'ok';
  }],
  put: [1, async ({ session, c }, bytes, iova = 0) => {
    c.p.proc.mm.write(own(session, iova), bytes);
    return 'ok';
  }],
};

/** @throws TypeError for an address that was not given to the devices */
function own(session: VfioSession, iova: number): number {
  const va = session.address(iova);
  if (va === null) throw new TypeError(`nothing is mapped at ${hex(iova)}`);
  return va;
}

function numberOf(text: string): number {
  if (!/^(0x[0-9a-f]+|\d+(\.\d+)?)$/i.test(text)) throw new TypeError(`'${text}' is no number`);
  return Number(text);
}

function bytesOf(text: string): Uint8Array {
  if (!/^([0-9a-f]{2})+$/i.test(text)) throw new TypeError(`'${text}' is no bytes in hexadecimal`);
  return Buffer.from(text, 'hex');
}

/** One vhost ioctl. @throws TypeError for one that is not understood; KernelError */
async function vhost({ c, device, eventfds }: State, [name = '', ...numbers]: readonly string[]): Promise<string> {
  const file = await VhostIoctls.of(c.p, device.file.fd);
  try {
    return await vhostCommand(c.p, file, name, numbers.map(numberOf), eventfds);
  } finally {
    await file.forget();
  }
}

/** One command. @throws TypeError for one that is not understood; KernelError */
async function run(state: State, text: string): Promise<string> {
  const [name = '', ...args] = text.split(/\s+/);
  if (name === 'vhost') return await vhost(state, args);
  const [arity, command] = commands[name] ?? [];
  if (command !== undefined && args.length === arity) return command(state, ...args.map(numberOf));
  const [numbers, writer] = writers[name] ?? [];
  if (writer !== undefined && args.length - 1 === numbers) return writer(state, bytesOf(args[numbers] as string), ...args.slice(0, numbers).map(numberOf));
  throw new TypeError('not understood; see vfio-dev --help');
}

/** What GROUP_GET_STATUS says of a group. @param name of its file in /dev/vfio */
async function groupStatus(c: Program, name: string): Promise<number> {
  try {
    const group = await VfioGroupFile.open(c.p, name);
    const flags = await group.status();
    await group.close();
    c.out(`flags ${hex(flags)}: ${(flags & VFIO_GROUP_FLAGS_VIABLE) === 0 ? 'not viable' : 'viable'}\n`);
    return 0;
  } catch (error) {
    if (isKernelError(error)) return await c.fail(`${name}: ${error.message} (${error.errno})`);
    throw error;
  }
}

/** The program. */
export const vfioDev: Applet = async (c) => {
  const [devices, ...texts] = c.args;
  if (devices === undefined || devices === '--help' || devices === '-h') {
    await (devices === undefined ? c.err(usage) : c.out(usage));
    return devices === undefined ? 2 : 0;
  }
  if (devices === '-g' && texts.length === 1) return await groupStatus(c, texts[0]!);
  let session: VfioSession;
  try {
    session = await VfioSession.open(c.p, devices.split(','));
  } catch (error) {
    if (isKernelError(error)) return await c.fail(`${devices}: ${error.message} (${error.errno})`);
    throw error;
  }
  const state: State = { c, session, device: session.devices[0] as OpenVfioDevice, eventfds: new Map() }; // one name at least
  let status = 0;
  try {
    for (const text of texts) {
      try {
        c.out(`${text}: ${await run(state, text)}\n`);
      } catch (error) {
        status = 1;
        if (isKernelError(error)) c.out(`${text}: ${error.errno}\n`);
        else if (error instanceof TypeError) return await c.fail(`${text}: ${error.message}`, 2);
        else throw error;
      }
    }
  } finally {
    await session.close();
    for (const fd of state.eventfds.values()) await c.p.close(fd);
  }
  return status;
};
