/** Names of network devices. Mirrors `net/core/dev.c` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import { IFNAMSIZ } from '@vdpalab/uapi';

/** Numbers a pattern may have: bits of a page. */
const MAX_UNITS = 32_768;

/** Whether a name can be one: 1 to 15 bytes, no blank, slash or colon. @see `dev_valid_name` */
export function isValidName(name: string): boolean {
  if (name === '' || name.length >= IFNAMSIZ || name === '.' || name === '..') return false;
  return !/[/:\s]/.test(name);
}

/**
 * The name a device gets: `eth%d` with the lowest free number, or the name itself.
 *
 * @throws EINVAL for a name that cannot be one, or another pattern
 * @throws EEXIST when it is taken
 * @throws ENFILE when all numbers are
 * @see `dev_get_valid_name`, `__dev_alloc_name`
 */
export function chooseName(pattern: string, taken: (name: string) => boolean): string {
  if (!isValidName(pattern)) throw new KernelError('EINVAL', 'netdev.name.invalid', `${JSON.stringify(pattern)} is no interface name`);
  if (!pattern.includes('%')) {
    if (taken(pattern)) throw new KernelError('EEXIST', 'netdev.name.taken', `interface ${pattern} exists`);
    return pattern;
  }
  const parts = pattern.split('%d');
  if (parts.length !== 2 || parts.some((part) => part.includes('%'))) {
    throw new KernelError('EINVAL', 'netdev.name.pattern', `${JSON.stringify(pattern)}: exactly one %d is meant`);
  }
  for (let unit = 0; unit < MAX_UNITS; unit++) {
    const name = `${parts[0]}${unit}${parts[1]}`;
    if (!taken(name)) return name;
  }
  throw new KernelError('ENFILE', 'netdev.name.units', `${pattern}: all ${MAX_UNITS} numbers are taken`);
}
