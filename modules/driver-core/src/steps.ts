/** What an object has put into the system, step by step, each with its undo. */

type Undo = () => Promise<void> | void;

/** Named steps that were done: undone one by one where the order matters, or all in reverse when something failed. */
export class Steps {
  readonly #done = new Map<string, Undo>();

  get size(): number {
    return this.#done.size;
  }

  /** Remember a step that has been done. */
  did(step: string, undo: Undo): void {
    if (this.#done.has(step)) throw new Error(`step ${step} was done already`);
    this.#done.set(step, undo);
  }

  /** Undo one step; nothing when it was not done. */
  async undo(step: string): Promise<void> {
    const undo = this.#done.get(step);
    this.#done.delete(step);
    await undo?.();
  }

  /** Undo these steps in this order; a failing one does not keep the others. */
  async undoInOrder(steps: readonly string[]): Promise<void> {
    await runAll(steps.map((step) => () => this.undo(step)));
  }

  /** Undo everything, newest first. */
  async undoAll(): Promise<void> {
    await this.undoInOrder([...this.#done.keys()].toReversed());
  }
}

/** Run all, in order; what they threw is thrown at the end. */
export async function runAll(actions: readonly Undo[]): Promise<void> {
  const failures: unknown[] = [];
  for (const action of actions) {
    try {
      await action();
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length === 1) throw failures[0];
  if (failures.length > 1) throw new AggregateError(failures, `${failures.length} steps failed`);
}
