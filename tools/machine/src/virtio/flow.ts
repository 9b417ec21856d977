/** Which flow a frame belongs to: frames of one flow keep their order in one queue. */
import { ETH_P_IP } from '@vdpalab/uapi';

const ETHERTYPE_AT = 12;
const IP_AT = 14;
const TCP = 6;
const UDP = 17;

/** A hash of a frame's addresses, and of its ports where it is unfragmented TCP or UDP over IPv4. */
export function flowHash(u8: Uint8Array, at: number, length: number): number {
  const type = (u8[at + ETHERTYPE_AT]! << 8) | u8[at + ETHERTYPE_AT + 1]!;
  if (type !== ETH_P_IP || length < IP_AT + 20) return mix(u8, at, at + ETHERTYPE_AT, 0);
  const ip = at + IP_AT;
  const hash = mix(u8, ip + 12, ip + 20, u8[ip + 9]!);
  const headerSize = (u8[ip]! & 0x0f) * 4;
  const fragment = ((u8[ip + 6]! & 0x3f) | u8[ip + 7]!) !== 0;
  const ports = IP_AT + headerSize;
  if (fragment || (u8[ip + 9] !== TCP && u8[ip + 9] !== UDP) || length < ports + 4) return hash;
  return mix(u8, at + ports, at + ports + 4, hash);
}

/** FNV-1a over bytes. */
function mix(u8: Uint8Array, from: number, to: number, start: number): number {
  let hash = start ^ 0x811c_9dc5;
  for (let i = from; i < to; i++) hash = Math.imul(hash ^ u8[i]!, 0x0100_0193);
  return (hash ^ (hash >>> 16)) >>> 0;
}
