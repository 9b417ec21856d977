/** A command's input or output: 16 bytes in its entry, the rest in a chain of mailboxes. Mirrors `cmd.c` (Linux 6.1). */
import { MLX5_CMD_DATA_BLOCK_SIZE, MLX5_CMD_INLINE_SIZE, mlx5_cmd_prot_block } from '@vdpalab/uapi';
import type { DmaBlock, DmaPool } from './dma-pool.ts';

/** `struct mlx5_cmd_msg` */
export class CmdMessage {
  readonly len: number;
  readonly #pool: DmaPool;
  readonly #blocks: DmaBlock[] = [];

  /** @param len bytes; @throws ENOMEM, and no block is kept then @see `mlx5_alloc_cmd_msg` */
  constructor(pool: DmaPool, len: number, token: number) {
    this.len = len;
    this.#pool = pool;
    const count = Math.ceil(Math.max(len - MLX5_CMD_INLINE_SIZE, 0) / MLX5_CMD_DATA_BLOCK_SIZE);
    try {
      for (let n = 0; n < count; n++) this.#blocks.push(pool.alloc());
    } catch (error) {
      this.free();
      throw error;
    }
    for (const [n, { bytes }] of this.#blocks.entries()) {
      mlx5_cmd_prot_block.set(bytes, 'next', BigInt(this.#blocks[n + 1]?.dma ?? 0));
      mlx5_cmd_prot_block.set(bytes, 'block_num', n);
      mlx5_cmd_prot_block.set(bytes, 'token', token);
    }
  }

  /** Bus address of the chain, 0 when all is in the entry. */
  get dma(): bigint {
    return BigInt(this.#blocks[0]?.dma ?? 0);
  }

  /** Store the bytes. @param inline the 16 bytes of the entry */
  write(from: Uint8Array, inline: Uint8Array): void {
    inline.set(from.subarray(0, MLX5_CMD_INLINE_SIZE));
    for (const [n, { bytes }] of this.#blocks.entries()) bytes.set(from.subarray(...blockRange(n)));
  }

  /** Fetch the bytes. @param inline the 16 bytes of the entry */
  read(inline: Uint8Array): Uint8Array {
    const to = new Uint8Array(this.len);
    to.set(inline.subarray(0, this.len));
    for (const [n, { bytes }] of this.#blocks.entries()) {
      const [from, end] = blockRange(n);
      to.set(bytes.subarray(0, Math.min(end, this.len) - from), from);
    }
    return to;
  }

  free(): void {
    for (const block of this.#blocks.splice(0)) this.#pool.free(block);
  }
}

/** Bytes of a message in its nth mailbox. */
function blockRange(n: number): [from: number, end: number] {
  const from = MLX5_CMD_INLINE_SIZE + n * MLX5_CMD_DATA_BLOCK_SIZE;
  return [from, from + MLX5_CMD_DATA_BLOCK_SIZE];
}
