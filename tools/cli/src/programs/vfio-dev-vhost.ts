/** The vhost commands of `vfio-dev`: each is one ioctl. */
import type { UserProcess } from '@vdpalab/lab';
import type { VhostIoctls } from '@vdpalab/user';

const hex = (n: number | bigint): string => `0x${n.toString(16)}`;

type Answer = Promise<string>;

/** By name: how many numbers each takes, and what it does. */
const commands: Readonly<Record<string, readonly (readonly [arity: number, run: (file: VhostIoctls, ...n: number[]) => Promise<unknown>])[]>> = {
  owner: [[0, (file) => file.setOwner()]],
  id: [[0, (file) => file.deviceId()]],
  status: [[0, (file) => file.status()], [1, (file, status = 0) => file.setStatus(status)]],
  features: [[0, (file) => file.features()], [1, (file, features = 0) => file.setFeatures(BigInt(features))]],
  config: [[2, (file, at = 0, len = 0) => file.config(at, len)]],
  'num-max': [[0, (file) => file.vringNum()]],
  num: [[2, (file, q = 0, num = 0) => file.setVringNum(q, num)]],
  base: [[1, (file, q = 0) => file.vringBase(q)], [2, (file, q = 0, base = 0) => file.setVringBase(q, base)]],
  addr: [[4, (file, q = 0, desc = 0, avail = 0, used = 0) => file.setVringAddr(q, BigInt(desc), BigInt(avail), BigInt(used))]],
  enable: [[2, (file, q = 0, on = 0) => file.setVringEnable(q, on !== 0)]],
};
/** Commands that give a queue a new eventfd. */
const eventfdCommands: Readonly<Record<string, (file: VhostIoctls, q: number, fd: number) => Promise<void>>> = {
  kick: (file, q, fd) => file.setVringKick(q, fd),
  call: (file, q, fd) => file.setVringCall(q, fd),
};

/**
 * One command.
 *
 * @param eventfds where a new eventfd is noted for its end
 * @throws TypeError for one that is not understood; KernelError
 */
export async function vhostCommand(p: UserProcess, file: VhostIoctls, name: string, numbers: readonly number[], eventfds: Map<string, number>): Answer {
  const [q] = numbers;
  const give = eventfdCommands[name];
  if (give !== undefined && q !== undefined && numbers.length === 1) {
    const fd = p.eventfd();
    eventfds.set(`vhost ${fd}`, fd);
    await give(file, q, fd);
    return 'ok';
  }
  const [, run] = commands[name]?.find(([arity]) => arity === numbers.length) ?? [];
  if (run === undefined) throw new TypeError('not understood; see vfio-dev --help');
  const answer = await run(file, ...numbers);
  if (answer instanceof Uint8Array) return Array.from(answer, (b) => b.toString(16).padStart(2, '0')).join(' ');
  // What an ioctl without an answer returns is 0.
  return typeof answer === 'bigint' || (typeof answer === 'number' && name !== 'owner') ? hex(answer) : 'ok';
}
