/** Netlink messages in bytes. */
import { NLMSG_ALIGN, NLMSG_HDRLEN, nlmsghdr } from '@vdpalab/uapi';
import type { Nlmsghdr } from '@vdpalab/uapi';

/** A message as it lies in what was sent. */
export interface Message {
  readonly hdr: Nlmsghdr;
  /** Header and payload, without padding; a view. */
  readonly bytes: Uint8Array;
  readonly payload: Uint8Array;
}

/** The message at an offset, or `null` when there is none or it is cut short: then the rest is ignored. */
export function messageAt(bytes: Uint8Array, at: number): Message | null {
  if (bytes.length - at < NLMSG_HDRLEN) return null;
  const hdr = nlmsghdr.decode(bytes, at);
  if (hdr.nlmsg_len < NLMSG_HDRLEN || hdr.nlmsg_len > bytes.length - at) return null;
  return { hdr, bytes: bytes.subarray(at, at + hdr.nlmsg_len), payload: bytes.subarray(at + NLMSG_HDRLEN, at + hdr.nlmsg_len) };
}

/** A message, padded to where the next one would start. */
export function newMessage(hdr: Omit<Nlmsghdr, 'nlmsg_len'>, payload: Uint8Array): Uint8Array<ArrayBuffer> {
  const length = NLMSG_HDRLEN + payload.length;
  const out = new Uint8Array(NLMSG_ALIGN(length));
  out.set(nlmsghdr.encode({ ...hdr, nlmsg_len: length }));
  out.set(payload, NLMSG_HDRLEN);
  return out;
}

/** One after the other. */
export function concat(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
