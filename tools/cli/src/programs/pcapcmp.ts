/** `pcapcmp`: whether two captures hold the same frames, bit for bit, times aside. */
import { isKernelError } from '@vdpalab/abi';
import { PcapError, readPcap, type PcapPacket } from '@vdpalab/machine';
import { readFileBytes, type Applet, type Program } from '@vdpalab/shell';

const usage = 'usage: pcapcmp [-m BYTES] SENT RECEIVED';

async function frames(c: Program, path: string): Promise<readonly PcapPacket[]> {
  try {
    return readPcap(await readFileBytes(c, path));
  } catch (error) {
    if (isKernelError(error) || error instanceof PcapError) throw new TypeError(`${path}: ${error.message}`);
    throw error;
  }
}

const sameBytes = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && a.every((byte, i) => byte === b[i]);

/** The program. `-m` leaves out frames of SENT that are longer: those a NIC refuses. */
export const pcapcmp: Applet = async (c) => {
  const args = [...c.args];
  let max = Number.POSITIVE_INFINITY;
  if (args[0] === '-m') {
    max = Number(args[1]);
    args.splice(0, 2);
  }
  const [sentPath, receivedPath, ...rest] = args;
  if (sentPath === undefined || receivedPath === undefined || rest.length > 0 || !(max > 0)) {
    await c.err(`${usage}\n`);
    return 2;
  }
  let sent: readonly PcapPacket[];
  let received: readonly PcapPacket[];
  try {
    sent = await frames(c, sentPath);
    received = await frames(c, receivedPath);
  } catch (error) {
    if (error instanceof TypeError) return await c.fail(error.message, 2);
    throw error;
  }
  const wanted = sent.filter((p) => p.bytes.length <= max);
  const first = wanted.findIndex((p, i) => received[i] === undefined || !sameBytes(p.bytes, received[i].bytes));
  const left = sent.length - wanted.length;
  const note = left === 0 ? '' : `, ${left} longer than ${max} bytes left out`;
  if (first < 0 && wanted.length === received.length) {
    c.out(`${wanted.length} frames equal${note}\n`);
    return 0;
  }
  c.out(first < 0 ? `${received.length - wanted.length} frames too many\n` : `frame ${first + 1} differs: ${wanted.length} expected, ${received.length} there${note}\n`);
  return 1;
};
