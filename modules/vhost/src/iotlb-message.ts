/** IOTLB messages as written to a vhost file. Mirrors `vhost_chr_write_iter` in `drivers/vhost/vhost.c` (Linux 6.1). */
import { foldError, isKernelError, KernelError } from '@vdpalab/abi';
import type { Process } from '@vdpalab/fs';
import {
  VHOST_IOTLB_MSG, VHOST_IOTLB_MSG_V2, VHOST_IOTLB_UPDATE, vhost_iotlb_msg, vhost_msg, vhost_msg_v2,
} from '@vdpalab/uapi';
import type { DevState, VhostNeeds } from './dev.ts';
import { processMessage } from './device-iotlb.ts';
import type { VhostIotlbMsg } from './header.ts';

/** A message taken apart. */
interface Parsed {
  readonly asid: number;
  readonly msg: VhostIotlbMsg;
  /** What the write returns: the size of the message's structure, however much was written. */
  readonly taken: number;
}

/** @throws EINVAL for an unknown type, a short write, or an update of no bytes */
function parse(dev: DevState, bytes: Uint8Array): Parsed {
  const short = (what: string): never => {
    throw new KernelError('EINVAL', 'vhost.iotlb.short', `${bytes.length} bytes are too few for ${what}`);
  };
  if (bytes.length < 4) short('a message type');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const type = view.getUint32(0, true);
  if (type !== VHOST_IOTLB_MSG && type !== VHOST_IOTLB_MSG_V2) {
    throw new KernelError('EINVAL', 'vhost.iotlb.type', `message type ${type} is neither ${VHOST_IOTLB_MSG} nor ${VHOST_IOTLB_MSG_V2}`);
  }
  const v2 = type === VHOST_IOTLB_MSG_V2;
  const at = vhost_msg.offsets.iotlb; // the same in both versions
  if (bytes.length < at + vhost_iotlb_msg.size) short('an IOTLB message');
  const msg = vhost_iotlb_msg.read(view, at);
  if (msg.type === VHOST_IOTLB_UPDATE && msg.size === 0n) {
    throw new KernelError('EINVAL', 'vhost.iotlb.size', 'an update of no bytes');
  }
  return {
    asid: v2 && dev.asidsCount ? view.getUint32(vhost_msg_v2.offsets.asid, true) : 0,
    msg,
    taken: v2 ? vhost_msg_v2.size : vhost_msg.size,
  };
}

/**
 * Take one message.
 *
 * @returns bytes taken
 * @throws EINVAL for what is no message; EFAULT for every refusal of one, with the reason inside
 */
export async function writeIotlbMessage(k: VhostNeeds, dev: DevState, bytes: Uint8Array, proc: Process): Promise<number> {
  const { asid, msg, taken } = parse(dev, bytes);
  try {
    if (dev.msg_handler === null) processMessage(k, dev, asid, msg);
    else await dev.msg_handler(dev, asid, msg, proc);
  } catch (error) {
    if (!isKernelError(error)) throw error;
    throw foldError('EFAULT', 'vhost.iotlb.refused', `${error.message} (${error.errno})`, error);
  }
  return taken;
}
