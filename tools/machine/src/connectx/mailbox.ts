/** Input and output of commands: 16 bytes in the queue's entry, the rest in chains of blocks in host memory. */
import {
  MLX5_CMD_DATA_BLOCK_SIZE, MLX5_CMD_DELIVERY_STAT_BAD_BLK_NUM_ERR, MLX5_CMD_DELIVERY_STAT_CMD_DESCR_ERR,
  MLX5_CMD_DELIVERY_STAT_IN_LENGTH_ERR, MLX5_CMD_DELIVERY_STAT_IN_PTR_ALIGN_ERR, MLX5_CMD_DELIVERY_STAT_OUT_LENGTH_ERR,
  MLX5_CMD_DELIVERY_STAT_OUT_PTR_ALIGN_ERR, MLX5_CMD_DELIVERY_STAT_TOK_ERR, MLX5_CMD_INLINE_SIZE, MLX5_PCI_CMD_XPORT, mlx5_cmd_layout,
  mlx5_cmd_prot_block,
} from '@vdpalab/uapi';
import type { DmaPort } from '../dma.ts';

/** Longest input or output, bytes. */
const LONGEST = 4 << 20;
/** Shortest: a head. */
const SHORTEST = 8;

/** A command that could not be read or answered: its delivery status. */
export class DeliveryFault extends Error {
  readonly delivery: number;

  constructor(delivery: number) {
    super(`delivery status 0x${delivery.toString(16)}`);
    this.delivery = delivery;
  }
}

/**
 * Read a command's input.
 *
 * @param entry 64 bytes of the queue
 * @throws DeliveryFault
 */
export function readInput(port: DmaPort, entry: Uint8Array): Uint8Array {
  if (mlx5_cmd_layout.get(entry, 'type') !== MLX5_PCI_CMD_XPORT) throw new DeliveryFault(MLX5_CMD_DELIVERY_STAT_CMD_DESCR_ERR);
  const length = mlx5_cmd_layout.get(entry, 'inlen');
  if (length < SHORTEST || length > LONGEST) throw new DeliveryFault(MLX5_CMD_DELIVERY_STAT_IN_LENGTH_ERR);
  const input = new Uint8Array(length);
  const at = mlx5_cmd_layout.offsetof('in');
  input.set(entry.subarray(at, at + Math.min(length, MLX5_CMD_INLINE_SIZE)));
  walk(port, entry, 'in_ptr', length, MLX5_CMD_DELIVERY_STAT_IN_PTR_ALIGN_ERR, (block, done, n) => void input.set(block.subarray(0, n), done));
  return input;
}

/** Bytes of output the driver takes. @throws DeliveryFault */
export function outputLength(entry: Uint8Array): number {
  const length = mlx5_cmd_layout.get(entry, 'outlen');
  if (length < SHORTEST || length > LONGEST) throw new DeliveryFault(MLX5_CMD_DELIVERY_STAT_OUT_LENGTH_ERR);
  return length;
}

/** Put output into the entry and its blocks. @throws DeliveryFault */
export function writeOutput(port: DmaPort, entry: Uint8Array, output: Uint8Array): undefined {
  walk(port, entry, 'out_ptr', output.length, MLX5_CMD_DELIVERY_STAT_OUT_PTR_ALIGN_ERR, (_, done, n, address) => {
    if (!port.write(address, output.subarray(done, done + n))) throw new DeliveryFault(MLX5_CMD_DELIVERY_STAT_CMD_DESCR_ERR);
  });
  entry.set(output.subarray(0, MLX5_CMD_INLINE_SIZE), mlx5_cmd_layout.offsetof('out'));
}

/** Go through the blocks of a chain, which are checked before each is used. */
function walk(
  port: DmaPort, entry: Uint8Array, pointer: 'in_ptr' | 'out_ptr', length: number, misaligned: number,
  use: (block: Uint8Array, done: number, n: number, address: number) => undefined,
): undefined {
  if (length <= MLX5_CMD_INLINE_SIZE) return;
  const token = mlx5_cmd_layout.get(entry, 'token');
  const block = new Uint8Array(mlx5_cmd_prot_block.size);
  let next = mlx5_cmd_layout.get(entry, pointer);
  for (let done = MLX5_CMD_INLINE_SIZE, number = 0; done < length; number++) {
    const address = Number(next);
    if (!Number.isSafeInteger(address) || address === 0 || address % MLX5_CMD_DATA_BLOCK_SIZE !== 0) throw new DeliveryFault(misaligned);
    if (!port.read(address, block.length, block)) throw new DeliveryFault(MLX5_CMD_DELIVERY_STAT_CMD_DESCR_ERR);
    if (mlx5_cmd_prot_block.get(block, 'token') !== token) throw new DeliveryFault(MLX5_CMD_DELIVERY_STAT_TOK_ERR);
    if (mlx5_cmd_prot_block.get(block, 'block_num') !== number) throw new DeliveryFault(MLX5_CMD_DELIVERY_STAT_BAD_BLK_NUM_ERR);
    const n = Math.min(length - done, MLX5_CMD_DATA_BLOCK_SIZE);
    use(block, done, n, address);
    done += n;
    next = mlx5_cmd_prot_block.get(block, 'next');
  }
}
