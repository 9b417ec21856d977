/** Hosts that answer: ARP, ping, TFTP, HTTP. */
export { readPacket, udpFrame } from './packet.ts';
export type { Ignored, Packet, Station } from './packet.ts';
export { Responder } from './responder.ts';
export type { ResponderConfig, ResponderCounters } from './responder.ts';
