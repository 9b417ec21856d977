/** What keeps a lab from being started or reached, told to the user as it is. */
export class LauncherError extends Error {
  /** Of the command. */
  readonly status: number;

  /** @param status 2: the user can mend it by asking otherwise; 1: it is as it is */
  constructor(text: string, status = 2) {
    super(text);
    this.name = 'LauncherError';
    this.status = status;
  }
}
