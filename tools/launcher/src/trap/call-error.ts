/** A trapped call fails with this errno, a positive number. */
export class CallError extends Error {
  readonly errno: number;
  constructor(errno: number, message: string) {
    super(message);
    this.name = 'CallError';
    this.errno = errno;
  }
}
