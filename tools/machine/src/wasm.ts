/** The bit of WebAssembly the machine needs; the type library has none. */
import type { WebAssemblyMemory } from '@vdpalab/abi';

interface MemoryDescriptor {
  readonly initial: number;
  readonly maximum: number;
  readonly shared: boolean;
}

interface WasmApi {
  readonly Memory: new (descriptor: MemoryDescriptor) => WebAssemblyMemory;
}

/** Bytes of a WebAssembly page. */
export const WASM_PAGE = 0x1_0000;

/**
 * A shared WebAssembly memory at its full size, so that it never grows: growing any memory of the process slows every
 * typed array that is not shared. Pages cost nothing until they are touched.
 *
 * @param bytes at most 4 GiB; rounded up to 64 KiB
 */
export function sharedMemory(bytes: number): WebAssemblyMemory {
  const { Memory } = (globalThis as unknown as { WebAssembly: WasmApi }).WebAssembly; // absent from lib ES2023
  const pages = Math.ceil(bytes / WASM_PAGE);
  return new Memory({ initial: pages, maximum: pages, shared: true });
}
