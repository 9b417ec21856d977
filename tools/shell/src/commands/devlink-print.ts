/** How the devlink tool lays its output out. Mirrors `pr_out_*` in `devlink/devlink.c` (iproute2 6.1): indented text, or JSON. */
import { Printer, type Value } from './print.ts';

/** Blanks a level of text is indented by. */
const STEP = 2;

/** What a command shows. */
export class DevlinkPrinter extends Printer {
  #level = 0;
  /** The next text begins a line. */
  #atStart = false;
  #newlines = 0;
  /** The handle under which a list of several things is open. */
  #open: string | null = null;

  /** Everything a command shows; JSON is well-formed when the command fails too. */
  async section(name: string, body: () => Promise<void>): Promise<void> {
    this.json?.startObject().name(name).startObject();
    try {
      await body();
    } finally {
      if (this.#open !== null) this.json?.endArray();
      this.json?.endObject().endObject();
    }
  }

  /** Text that begins where indentation says. */
  line(text: string): void {
    if (this.json !== null) return;
    if (this.#atStart) this.text(' '.repeat(this.#level));
    this.#atStart = false;
    this.text(text);
    this.#newlines = 0;
  }

  /** End the line, once. */
  newline(): void {
    if (this.json !== null) return;
    if (this.#newlines < 1) {
      this.line('\n');
      this.#atStart = true;
    }
    this.#newlines++;
  }

  /** The next newline is no newline: nothing was printed before. */
  noNewline(): void {
    this.#newlines = 1;
  }

  /** Apart from what is before it on the line, or indented at its start. */
  separate(): void {
    if (this.json !== null) return;
    if (this.#atStart) this.text(' '.repeat(this.#level));
    else this.text(' ');
    this.#atStart = false;
    this.#newlines = 0;
  }

  /** A field behind a blank, or at the start of a line. */
  separated(key: string, value: Value): void {
    this.separate();
    this.field(key, value, `${key} ${value}`);
  }

  indented(body: () => void): void {
    this.#level += STEP;
    body();
    this.#level -= STEP;
  }

  /** One thing by its handle; with content, a colon is behind it. */
  entry(handle: string, body: (() => void) | null): void {
    this.line(`${handle}${body === null ? '' : ':'}`);
    this.object(handle, () => body?.());
    this.newline();
  }

  /** One of several things with a handle. */
  listed(handle: string, body: () => void): void {
    if (this.#open !== handle) {
      if (this.#open !== null) {
        this.json?.endArray();
        this.#level -= STEP;
      }
      this.json?.name(handle).startArray();
      this.line(`${handle}:`);
      this.newline();
      this.#level += STEP;
      this.#open = handle;
    }
    this.object(null, body);
    this.newline();
  }

  /** Something with a name, two levels deeper, on lines of its own. */
  deeper(name: string, body: () => void): void {
    this.#level += STEP;
    this.newline();
    this.line(`${name}:`);
    this.#level += STEP;
    this.newline();
    body();
    this.#level -= 2 * STEP;
  }

  /** {@link deeper}, an object in JSON. */
  group(name: string, body: () => void): void {
    this.deeper(name, () => this.object(name, body));
  }

  /** {@link deeper}, an array in JSON. */
  array(name: string, body: () => void): void {
    this.deeper(name, () => {
      this.json?.name(name).startArray();
      body();
      this.json?.endArray();
    });
  }

  /** An object of an array, on a line of its own. */
  item(body: () => void): void {
    this.object(null, body);
    this.newline();
  }
}
