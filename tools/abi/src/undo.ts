/** What an init or a probe acquired, to be given back in reverse. */
export class UndoStack {
  readonly #steps: { what: string; undo: () => Promise<void> | void }[] = [];

  /** Number of steps not yet undone. */
  get size(): number {
    return this.#steps.length;
  }

  /** What is still held, oldest first. */
  get held(): readonly string[] {
    return this.#steps.map((s) => s.what);
  }

  /**
   * Remember how to give something back.
   *
   * @param what what was acquired, for leak reports
   */
  push(what: string, undo: () => Promise<void> | void): void {
    this.#steps.push({ what, undo });
  }

  /** Undo every step, newest first; a step that fails does not keep the older ones from running. */
  async run(): Promise<void> {
    const failures: unknown[] = [];
    for (let step = this.#steps.pop(); step !== undefined; step = this.#steps.pop()) {
      try {
        await step.undo();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length === 1) throw failures[0];
    if (failures.length > 1) throw new AggregateError(failures, `${failures.length} undo steps failed`);
  }
}

/**
 * Run `body` with an undo stack: kept on success and returned, run in reverse on failure.
 *
 * @returns the body's result; the stack is the caller's to run later
 */
export async function withUndo<T>(stack: UndoStack, body: () => Promise<T>): Promise<T> {
  try {
    return await body();
  } catch (error) {
    await stack.run();
    throw error;
  }
}
