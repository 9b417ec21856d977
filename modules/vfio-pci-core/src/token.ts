/**
 * A physical function and its virtual ones trust each other by a secret they share.
 *
 * Mirrors `vfio_pci_validate_vf_token` and `vfio_pci_core_match` in `drivers/vfio/pci/vfio_pci_core.c` (Linux 6.1).
 */
import type { VfioPci } from './device.ts';
import { refuse } from './refuse.ts';

const UUID = /^[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}/;
const OPTION = 'vf_token=';
const KERN_INFO = 6;

/** Sixteen bytes as text. */
export function uuidText(bytes: Uint8Array): string {
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)].join('-');
}

/** One more open that counts on the token, or one less. @see `vfio_pci_vf_token_user_add` */
export function tokenUsers(v: VfioPci, change: 1 | -1): void {
  const token = v.token ?? v.pf?.token ?? null;
  if (token !== null) token.users += change;
}

/**
 * Whether a name, `0000:07:00.2 vf_token=UUID`, means this function and may open it.
 *
 * @throws EINVAL for an unknown option, or a token where there is none to give; EACCES for a wrong or missing one
 */
export function matches(v: VfioPci, text: string): boolean {
  const { name } = v;
  if (!text.startsWith(name)) return false;
  const rest = text.slice(name.length);
  if (rest !== '' && !rest.startsWith(' ')) return false;
  let token: string | null = null;
  for (const option of rest.split(' ').filter((part) => part !== '')) {
    const uuid: RegExpExecArray | null = option.startsWith(OPTION) && token === null ? UUID.exec(option.slice(OPTION.length)) : null;
    if (uuid === null || uuid[0].length !== option.length - OPTION.length) return refuse('EINVAL', 'match.option', `${JSON.stringify(option)} is no option, or was given twice`);
    token = uuid[0].toLowerCase();
  }
  validate(v, token);
  return true;
}

function validate(v: VfioPci, given: string | null): void {
  const say = (text: string): void => void v.k._printk(KERN_INFO, `vfio-pci ${v.name}: ${text}`);
  const { token } = v.pdev.is_virtfn ? v.pf ?? { token: null } : v;
  if (token === null) {
    if (given === null) return;
    say(v.pdev.is_virtfn ? 'VF token incorrectly provided, PF not bound to vfio-pci' : 'VF token incorrectly provided, not a PF or VF');
    refuse('EINVAL', 'token.unasked', `${v.name} takes no token`);
  }
  if (!v.pdev.is_virtfn && token.users === 0) {
    if (given !== null) token.uuid = given;
    return;
  }
  if (given === null) {
    say('VF token required to access device');
    refuse('EACCES', 'token.missing', `${v.name}: give vf_token=`);
  }
  if (given !== token.uuid) {
    say('Incorrect VF token provided for device');
    refuse('EACCES', 'token.wrong', `${v.name}: another token`);
  }
}
