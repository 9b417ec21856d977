/** Numbers that the host's kernel knows the lab's nodes by. */
import type { Node } from '@vdpalab/fs';
import { ENOENT, FUSE_ROOT_ID } from '@vdpalab/uapi';
import { Refusal } from './errno.ts';

interface Known {
  readonly node: Node;
  /** References the kernel holds. */
  lookups: number;
}

/** Nodes the kernel holds. A number is never given twice, so a name that is removed and made again is another inode. */
export class NodeTable {
  readonly #byId = new Map<number, Known>();
  readonly #ids = new Map<Node, number>();
  #last = FUSE_ROOT_ID;

  constructor(root: Node) {
    this.#byId.set(FUSE_ROOT_ID, { node: root, lookups: Infinity });
    this.#ids.set(root, FUSE_ROOT_ID);
  }

  /** How many there are, the root included. */
  get size(): number {
    return this.#byId.size;
  }

  /** @throws Refusal ENOENT for a number the kernel has forgotten */
  get(id: number): Node {
    const known = this.#byId.get(id);
    if (known === undefined) throw new Refusal(ENOENT);
    return known.node;
  }

  /** Take a reference for the kernel. @returns the node's number */
  take(node: Node): number {
    const old = this.#ids.get(node);
    if (old !== undefined) {
      this.#byId.get(old)!.lookups++; // both maps hold the same nodes
      return old;
    }
    const id = ++this.#last;
    this.#byId.set(id, { node, lookups: 1 });
    this.#ids.set(node, id);
    return id;
  }

  /** The kernel drops references. */
  forget(id: number, count: number): void {
    const known = this.#byId.get(id);
    if (known === undefined) return;
    known.lookups -= count;
    if (known.lookups > 0) return;
    this.#byId.delete(id);
    this.#ids.delete(known.node);
  }
}
