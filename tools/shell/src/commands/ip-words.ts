/** The words of an ip command, one after the other, with ip's complaints. Mirrors `lib/utils.c` (iproute2 6.1). */
import { Refusal } from './ip-link.ts';

/** Words that are still to be read. */
export class Words {
  readonly #words: readonly string[];
  #at = 0;

  constructor(words: readonly string[]) {
    this.#words = words;
  }

  /** `invarg` */
  static invalid(value: string, complaint: string): Refusal {
    return new Refusal(`Error: argument "${value}" is wrong: ${complaint}\n`);
  }

  /** How many were read. */
  get read(): number {
    return this.#at;
  }

  /** The next word, or `null`. */
  take(): string | null {
    return this.#words[this.#at++] ?? null;
  }

  /** Look at the next word without taking it. */
  peek(): string | null {
    return this.#words[this.#at] ?? null;
  }

  /** The value that belongs to the word before. @throws Refusal when there is none */
  next(): string {
    const word = this.take();
    if (word === null) throw new Refusal('Command line is not complete. Try option "help"\n');
    return word;
  }

  /** @throws Refusal for another word */
  onOff(key: string): boolean {
    const word = this.next();
    if (word === 'on' || word === 'off') return word === 'on';
    throw new Refusal(`Error: argument of "${key}" must be "on" or "off", not "${word}"\n`, 1);
  }
}
