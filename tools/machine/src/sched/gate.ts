/**
 * The gate between the scheduler and the task it has resumed.
 *
 * Closed while a task runs; the task opens it when it parks or ends. A task that awaits something the scheduler does
 * not know of never opens it: then the host's event loop turns while the gate is closed, and the gate fails.
 */

/** One gate serves one scheduler. */
export class Gate {
  private opener: (() => void) | null = null;
  private failer: ((error: Error) => void) | null = null;
  private watch: NodeJS.Immediate | null = null;
  private readonly foreign: () => Error;

  /** @param foreign called when a task awaits something foreign; says what is wrong */
  constructor(foreign: () => Error) {
    this.foreign = foreign;
  }

  /** Close the gate. @returns settled when it opens; rejected with what `foreign` said */
  close(): Promise<void> {
    this.watch ??= setImmediate(() => this.turned());
    return new Promise((open, fail) => {
      this.opener = open;
      this.failer = fail;
    });
  }

  /** Open the gate; nothing when it is open. */
  open(): undefined {
    const { opener } = this;
    this.opener = null;
    this.failer = null;
    opener?.();
  }

  /** Stop watching the event loop: nothing runs now. */
  rest(): undefined {
    if (this.watch !== null) clearImmediate(this.watch);
    this.watch = null;
  }

  private turned(): void {
    this.watch = null;
    const { failer } = this;
    if (failer === null) return;
    this.opener = null;
    this.failer = null;
    failer(this.foreign());
  }
}
