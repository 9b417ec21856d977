import { isKernelError } from '@vdpalab/abi';

/** The errno of what fails, or 'ok'. What is no refusal of the kernel's is thrown on. */
export async function errnoOf(body: () => unknown): Promise<string> {
  try {
    await body();
    return 'ok';
  } catch (error) {
    return errnoIn(error);
  }
}

/** {@link errnoOf} of a call that answers at once. */
export function errnoOfSync(body: () => unknown): string {
  try {
    body();
    return 'ok';
  } catch (error) {
    return errnoIn(error);
  }
}

function errnoIn(error: unknown): string {
  if (!isKernelError(error)) throw error;
  return error.errno;
}
