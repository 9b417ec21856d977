/** JSON as iproute2 writes it. Mirrors `lib/json_writer.c` (iproute2 6.1): streamed, arrays on one line, names as they come. */

/** A document being written. */
export class JsonWriter {
  readonly #pretty: boolean;
  #text = '';
  #depth = 0;
  /** What goes before the next value. */
  #separator = '';

  /** @param pretty a line for each name, indented by four blanks */
  constructor(pretty: boolean) {
    this.#pretty = pretty;
  }

  name(name: string): this {
    this.#next();
    this.#line();
    this.#separator = '';
    this.#text += `${JSON.stringify(name)}:${this.#pretty ? ' ' : ''}`;
    return this;
  }

  /** Open an object, until {@link endObject}. */
  startObject(): this {
    return this.#begin('{');
  }

  endObject(): this {
    return this.#end('}');
  }

  /** Open an array, until {@link endArray}. */
  startArray(): this {
    this.#begin('[');
    if (this.#pretty) this.#text += ' ';
    return this;
  }

  endArray(): this {
    if (this.#pretty && this.#separator !== '') this.#text += ' ';
    this.#separator = '';
    return this.#end(']');
  }

  value(value: string | number | bigint | boolean): this {
    this.#next();
    this.#text += typeof value === 'string' ? JSON.stringify(value) : String(value);
    return this;
  }

  /** The document, with the newline that ends it. */
  end(): string {
    return `${this.#text}\n`;
  }

  #next(): void {
    this.#text += this.#separator;
    this.#separator = ',';
  }

  #line(): void {
    if (this.#pretty) this.#text += `\n${'    '.repeat(this.#depth)}`;
  }

  #begin(bracket: string): this {
    this.#next();
    this.#text += bracket;
    this.#depth++;
    this.#separator = '';
    return this;
  }

  #end(bracket: string): this {
    this.#depth--;
    if (this.#separator !== '') this.#line();
    this.#text += bracket;
    this.#separator = ',';
    return this;
  }
}
