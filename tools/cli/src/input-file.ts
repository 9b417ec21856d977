/** Files that are named on the command line, in a transcript or in a lab file. */
import { readFileSync } from 'node:fs';
import { ERRNO, strerror, type ErrnoName } from '@vdpalab/uapi';

/** A file that cannot be read or written: the path, and why. */
export class InputFileError extends Error {}

const isErrno = (code: unknown): code is ErrnoName => typeof code === 'string' && code in ERRNO;

/**
 * What a failed call on a host file comes to, as programs say it: `x.txt: No such file or directory`.
 *
 * @returns null for what is no such failure
 */
export function fileErrorText(error: unknown): string | null {
  const { code, path } = error as NodeJS.ErrnoException;
  return isErrno(code) && path !== undefined ? `${path}: ${strerror(code)}` : null;
}

/** The text of a file. @throws InputFileError when it cannot be read */
export function readInput(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (!isErrno(code)) throw error;
    throw new InputFileError(`${file}: ${strerror(code)}`); // a folder is found out by its read, which knows no path
  }
}
