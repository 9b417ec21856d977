/** What is written to `create` and `remove`. Mirrors `lib/uuid.c` and `drivers/vfio/mdev/mdev_sysfs.c` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';

const UUID_STRING_LEN = 36;
const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/**
 * The UUID in a write to `create`, in small letters. One character more is taken and not looked at: it is echo's newline.
 *
 * @throws EINVAL for another length, and for what is no UUID
 */
export function uuidOf(text: string): string {
  if (text.length < UUID_STRING_LEN || text.length > UUID_STRING_LEN + 1) {
    throw new KernelError('EINVAL', 'mdev.create.length', `${text.length} characters; a UUID has ${UUID_STRING_LEN}`);
  }
  const uuid = text.slice(0, UUID_STRING_LEN).toLowerCase();
  if (!UUID.test(uuid)) throw new KernelError('EINVAL', 'mdev.create.uuid', `${JSON.stringify(uuid)} is no UUID`);
  return uuid;
}

/** Whether a write to `remove` means it: any number but 0. @throws EINVAL for what is no unsigned number */
export function meansRemove(text: string): boolean {
  const m = /^\+?(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)\n?$/.exec(text);
  const digits = m?.[1] ?? '';
  const value = /^0[0-7]+$/.test(digits) ? BigInt(`0o${digits}`) : digits === '' ? null : BigInt(digits);
  if (value === null || value >= 1n << 64n) throw new KernelError('EINVAL', 'mdev.remove.number', `${JSON.stringify(text)} is no number`);
  return value !== 0n;
}
