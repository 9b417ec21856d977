/** Where the playground's modules are, as built. */
import { fileURLToPath } from 'node:url';

/** Host folder of module files for a lab's `modules.extra`. */
export function folder(name: 'rk' | 'awkward' | 'foreign' | 'mdev'): string {
  return fileURLToPath(new URL(`../../dist/playground/${name}`, import.meta.url));
}
