/** Output that is text or JSON. Mirrors `lib/json_print.c` (iproute2 6.1). */
import { JsonWriter } from './json.ts';

/** A value JSON shows as it is. */
export type Value = string | number | bigint | boolean;

/** What a program prints with -j or without. */
export class Printer {
  /** `null` without -j. */
  readonly json: JsonWriter | null;
  #text = '';

  constructor(json: boolean, pretty: boolean) {
    this.json = json ? new JsonWriter(pretty) : null;
  }

  /** What was printed; JSON ends in a newline even when nothing was. */
  end(): string {
    return this.json === null ? this.#text : this.json.end();
  }

  /** Only in text. */
  text(text: string): void {
    this.#text += text;
  }

  /** @param text as text shows it */
  field(key: string, value: Value, text: string): void {
    this.#text += text;
    this.json?.name(key).value(value);
  }

  /** @param text as text shows it */
  list(key: string, values: readonly Value[], text: string): void {
    this.#text += text;
    this.json?.name(key).startArray();
    for (const value of values) this.json?.value(value);
    this.json?.endArray();
  }

  /** Only in JSON: an object around what the body prints. */
  object(name: string | null, body: () => void): void {
    if (name !== null) this.json?.name(name);
    this.json?.startObject();
    body();
    this.json?.endObject();
  }
}
