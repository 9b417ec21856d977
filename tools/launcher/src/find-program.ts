/** Looking for programs of the host. */
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Directories of system programs, which not everybody has in PATH. */
export const SYSTEM_PATH: readonly string[] = ['/usr/sbin', '/sbin', '/usr/bin', '/bin'];

/** Where a program is; `null` when it is not there. */
export function findProgram(name: string, path = process.env['PATH'] ?? ''): string | null {
  const dir = [...path.split(delimiter), ...SYSTEM_PATH].find((one) => one !== '' && existsSync(join(one, name)));
  return dir === undefined ? null : join(dir, name);
}

/** Whether a program is there. */
export function hasProgram(name: string): boolean {
  return findProgram(name) !== null;
}
