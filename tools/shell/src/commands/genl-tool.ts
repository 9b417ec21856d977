/** What iproute2's programs for generic netlink families share. */
import type { NetlinkError } from '@vdpalab/user';
import type { NlaBuilder } from '@vdpalab/uapi';
import type { Program } from '../program.ts';
import { errnoText } from '../system.ts';

/** Writes attributes. */
export type Put = (b: NlaBuilder) => void;

/** Arguments the tool will not send; it says so, or nothing at all, and ends. */
export class WrongArgument {
  readonly text: string;
  readonly status: number;

  constructor(text: string, status = 1) {
    this.text = text;
    this.status = status;
  }
}

/** Write to stderr and end. */
export async function complain(c: Program, text: string, status = 1): Promise<number> {
  await c.err(text);
  return status;
}

/** What libmnl's helpers print of a refusal. */
export async function refused(c: Program, { extack, errno }: NetlinkError): Promise<number> {
  return complain(c, `${extack === null ? '' : `Error: ${extack}${extack.endsWith('.') ? '' : '.'}\n`}kernel answers: ${errnoText(errno)}\n`);
}
