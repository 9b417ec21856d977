/** Memory of guests, as QEMU has it in a memfd. */
import { closeSync, openSync, readFileSync, readSync } from 'node:fs';

const PAGE = 4096;
const CHUNK = 2 ** 20;

/** Where a QEMU with `share=on` has its guest's memory. @throws Error when it has none */
function areaOf(pid: number): { readonly start: number; readonly size: number } {
  const areas = [...readFileSync(`/proc/${pid}/maps`, 'latin1').matchAll(/^([0-9a-f]+)-([0-9a-f]+) rw-s .*memfd:memory-backend-memfd/gm)];
  const [, start, end] = areas[0] ?? [];
  if (start === undefined || end === undefined) throw new Error(`process ${pid} has no guest memory in a memfd`);
  return { start: Number.parseInt(start, 16), size: Number.parseInt(end, 16) - Number.parseInt(start, 16) };
}

/** Pages that differ between the memories of two guests that stand still, by guest physical address as far as low memory goes. */
export function differentPages(one: number, other: number): number[] {
  const [a, b] = [areaOf(one), areaOf(other)];
  if (a.size !== b.size) throw new Error(`${a.size} bytes here, ${b.size} there`);
  const files = [openSync(`/proc/${one}/mem`, 'r'), openSync(`/proc/${other}/mem`, 'r')] as const;
  const different: number[] = [];
  try {
    const [left, right] = [Buffer.alloc(CHUNK), Buffer.alloc(CHUNK)];
    for (let at = 0; at < a.size; at += CHUNK) {
      const same = readSync(files[0], left, 0, CHUNK, a.start + at) === readSync(files[1], right, 0, CHUNK, b.start + at);
      if (same && left.equals(right)) continue;
      for (let page = 0; page < CHUNK; page += PAGE) {
        if (!left.subarray(page, page + PAGE).equals(right.subarray(page, page + PAGE))) different.push(at + page);
      }
    }
  } finally {
    files.forEach(closeSync);
  }
  return different;
}
