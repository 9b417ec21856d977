/**
 * The `.bin` files of a module tree: a trie with compressed edges, in which modprobe looks names and patterns up.
 *
 * Big endian. A reference is a file offset of 28 bits with flags above it; a node is its prefix, its children and its values, each only
 * if it has any. Written as kmod 30 to 33 write it, children first.
 */
import { textOf } from './elf/format.ts';
import { fnmatch } from './fnmatch.ts';

const MAGIC = 0xb007_f457;
const VERSION = 0x0002_0001;
const HAS_PREFIX = 0x8000_0000;
const HAS_VALUES = 0x4000_0000;
const HAS_CHILDREN = 0x2000_0000;
const OFFSET = 0x0fff_ffff;
/** Characters have 7 bits: a key with others is left out. */
const CHARS = 128;

/** A value under a key; the lower its priority, the earlier it is found. */
export interface IndexEntry {
  readonly key: string;
  readonly value: string;
  readonly priority: number;
}

interface DraftNode {
  prefix: string;
  readonly children: Map<number, DraftNode>;
  readonly values: { readonly value: string; readonly priority: number }[];
}

const draft = (prefix: string): DraftNode => ({ prefix, children: new Map(), values: [] });

/** The trie of some entries, before it is written. */
export class IndexBuilder {
  readonly #root = draft('');

  /** Add a value. @returns whether the key had it already: then it has it twice */
  add({ key, value, priority }: IndexEntry): boolean {
    for (let i = 0; i < key.length; i++) if (key.charCodeAt(i) >= CHARS) return false;
    const { values } = this.#node(key);
    const twice = values.some((v) => v.value === value);
    const at = values.findIndex((v) => v.priority >= priority);
    values.splice(at < 0 ? values.length : at, 0, { value, priority });
    return twice;
  }

  #node(key: string): DraftNode {
    let node = this.#root;
    for (let at = 0; ;) {
      const rest = key.slice(at);
      let same = 0;
      while (same < node.prefix.length && node.prefix[same] === rest[same]) same++;
      if (same < node.prefix.length) split(node, same);
      if (same === rest.length) return node;
      const edge = rest.charCodeAt(same);
      const next = node.children.get(edge);
      if (next === undefined) {
        const leaf = draft(rest.slice(same + 1));
        node.children.set(edge, leaf);
        return leaf;
      }
      node = next;
      at += same + 1;
    }
  }

  /** The file. */
  bytes(): Uint8Array {
    const out: number[] = [];
    const u32 = (value: number): unknown => out.push(value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff);
    const string = (text: string): unknown => out.push(...new TextEncoder().encode(text), 0);
    u32(MAGIC);
    u32(VERSION);
    u32(0);
    const write = (node: DraftNode): number => {
      const edges = [...node.children.keys()].sort((a, b) => a - b);
      const [first, last] = [edges[0] ?? 0, edges.at(-1) ?? 0];
      const refs = edges.length === 0 ? [] : Array.from({ length: last - first + 1 }, (_, i) => {
        const child = node.children.get(first + i);
        return child === undefined ? 0 : write(child);
      });
      let ref = out.length;
      if (node.prefix !== '') {
        string(node.prefix);
        ref += HAS_PREFIX;
      }
      if (edges.length > 0) {
        out.push(first, last);
        for (const child of refs) u32(child);
        ref += HAS_CHILDREN;
      }
      if (node.values.length > 0) {
        u32(node.values.length);
        for (const { value, priority } of node.values) {
          u32(priority);
          string(value);
        }
        ref += HAS_VALUES;
      }
      return ref;
    };
    const root = write(this.#root);
    const bytes = Uint8Array.from(out);
    new DataView(bytes.buffer).setUint32(8, root);
    return bytes;
  }
}

/** Cut a node's prefix: what follows becomes its only child, with everything the node had. */
function split(node: DraftNode, at: number): void {
  const lower: DraftNode = { prefix: node.prefix.slice(at + 1), children: new Map(node.children), values: [...node.values] };
  const edge = node.prefix.charCodeAt(at);
  node.children.clear();
  node.values.length = 0;
  node.children.set(edge, lower);
  node.prefix = node.prefix.slice(0, at);
}

/** The file of some entries. */
export function writeIndex(entries: readonly IndexEntry[]): Uint8Array {
  const builder = new IndexBuilder();
  for (const entry of entries) builder.add(entry);
  return builder.bytes();
}

interface IndexNode {
  readonly prefix: string;
  readonly first: number;
  readonly children: readonly number[];
  readonly values: readonly { readonly value: string; readonly priority: number }[];
}

/** A `.bin` file that is looked things up in. */
export class BinIndex {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #root: number;

  private constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#root = this.#view.getUint32(8);
  }

  /** @returns `null` for a file that is no index, or one of another version */
  static open(bytes: Uint8Array | null): BinIndex | null {
    if (bytes === null || bytes.length < 12) return null;
    const index = new BinIndex(bytes);
    return index.#view.getUint32(0) === MAGIC && index.#view.getUint32(4) >>> 16 === VERSION >>> 16 ? index : null;
  }

  /** @throws RangeError when the file's references lead outside it */
  #node(ref: number): IndexNode {
    let at = ref & OFFSET;
    const string = (): string => {
      const end = this.#bytes.indexOf(0, at);
      if (end < 0) throw new RangeError('index: a string does not end');
      const text = textOf(this.#bytes.subarray(at, end));
      at = end + 1;
      return text;
    };
    const u32 = (): number => {
      const value = this.#view.getUint32(at);
      at += 4;
      return value;
    };
    const prefix = (ref & HAS_PREFIX) === 0 ? '' : string();
    let first = 0;
    let children: number[] = [];
    if ((ref & HAS_CHILDREN) !== 0) {
      first = this.#view.getUint8(at);
      const last = this.#view.getUint8(at + 1);
      at += 2;
      children = Array.from({ length: last - first + 1 }, u32);
    }
    const values: { value: string; priority: number }[] = [];
    if ((ref & HAS_VALUES) !== 0) {
      for (let left = u32(); left > 0; left--) {
        const priority = u32();
        values.push({ priority, value: string() });
      }
    }
    return { prefix, first, children, values };
  }

  #child(node: IndexNode, char: number): number {
    return node.children[char - node.first] ?? 0;
  }

  /** The first value of a key; `null` when it has none. */
  get(key: string): string | null {
    for (let ref = this.#root, at = 0; ref !== 0;) {
      const node = this.#node(ref);
      if (!key.startsWith(node.prefix, at)) return null;
      at += node.prefix.length;
      if (at === key.length) return node.values[0]?.value ?? null;
      ref = this.#child(node, key.charCodeAt(at++));
    }
    return null;
  }

  /** Values of all keys that are patterns for a text, by priority; of equal ones the last found first. */
  match(text: string): string[] {
    const found: { readonly value: string; readonly priority: number }[] = [];
    const add = (values: IndexNode['values']): void => {
      for (const v of values) {
        const at = found.findIndex((f) => f.priority >= v.priority);
        found.splice(at < 0 ? found.length : at, 0, v);
      }
    };
    /** From a wildcard on: whole keys against the rest of the text. */
    const wild = (ref: number, key: string, cut: number, rest: string): void => {
      const node = this.#node(ref);
      const here = key + node.prefix.slice(cut);
      node.children.forEach((child, i) => {
        if (child !== 0) wild(child, here + String.fromCharCode(node.first + i), 0, rest);
      });
      if (fnmatch(here, rest)) add(node.values);
    };
    const plain = (ref: number, from: number): void => {
      const node = this.#node(ref);
      let at = from;
      for (let i = 0; i < node.prefix.length; i++, at++) {
        if ('*?['.includes(node.prefix[i] as string)) return wild(ref, '', i, text.slice(at)); // i is in range
        if (node.prefix[i] !== text[at]) return undefined;
      }
      for (const char of '*?[') {
        const child = this.#child(node, char.charCodeAt(0));
        if (child !== 0) wild(child, char, 0, text.slice(at));
      }
      if (at === text.length) return add(node.values);
      const child = this.#child(node, text.charCodeAt(at));
      if (child !== 0) plain(child, at + 1);
      return undefined;
    };
    if (this.#root !== 0) plain(this.#root, 0);
    return found.map((f) => f.value);
  }

  /** Everything, in the order of a walk over the trie: a key's own values before longer keys. */
  entries(): IndexEntry[] {
    const out: IndexEntry[] = [];
    const walk = (ref: number, key: string): void => {
      const node = this.#node(ref);
      const here = key + node.prefix;
      for (const v of node.values) out.push({ key: here, ...v });
      node.children.forEach((child, i) => {
        if (child !== 0) walk(child, here + String.fromCharCode(node.first + i));
      });
    };
    if (this.#root !== 0) walk(this.#root, '');
    return out;
  }
}

