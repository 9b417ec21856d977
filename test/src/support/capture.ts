/** The recorded session that traffic tests replay. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { readPcap } from '@vdpalab/machine';

/** `test/data`, from `test/src/support` and from `test/dist/support` alike. */
const DATA = new URL('../../data/', import.meta.url);

/** Frames of a capture in `test/data`, in order. */
export function capturedFrames(file: string): readonly Uint8Array[] {
  return readPcap(readFileSync(fileURLToPath(new URL(file, DATA)))).map((packet) => packet.bytes.slice());
}

/** The 80 frames of `veth-session.pcap`. */
export const sessionFrames = (): readonly Uint8Array[] => capturedFrames('veth-session.pcap');
