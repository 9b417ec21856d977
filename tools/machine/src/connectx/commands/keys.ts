/** Commands about memory keys. */
import {
  MLX5_CMD_OP_CREATE_MKEY, MLX5_CMD_OP_DESTROY_MKEY, MLX5_MKC_ACCESS_MODE_MTT, MLX5_MKC_ACCESS_MODE_PA,
  VHOST_ACCESS_RO, VHOST_ACCESS_WO, mlx5_cmd_in, mlx5_cmd_out, mlx5_create_mkey_in, mlx5_klm,
} from '@vdpalab/uapi';
import { KEY_MODES, klmSpans, LOG_MAX_KLMS, mttSpans } from '../memory-keys.ts';
import type { MemoryKeySettings } from '../memory-keys.ts';
import { Refusal } from '../refusal.ts';
import { HEAD } from './command.ts';
import type { Commands } from './command.ts';
import { addresses } from './pages.ts';

const SMALLEST_PAGE = 12;

/** A field of 64 bits as a number. @throws Refusal BAD_PARAM beyond 2^53 */
function number(value: bigint): number {
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new Refusal('key.range');
  return Number(value);
}

/** Where the key leads. @throws Refusal BAD_PARAM */
function spans(input: Uint8Array, mode: number, start: number, length: number): MemoryKeySettings['spans'] {
  const at = mlx5_create_mkey_in.size;
  if (mode === MLX5_MKC_ACCESS_MODE_PA) return [];
  if (mode === MLX5_MKC_ACCESS_MODE_MTT) {
    const logPage = mlx5_create_mkey_in.get(input, 'log_page_size');
    if (logPage < SMALLEST_PAGE) throw new Refusal('key.translations');
    const pages = addresses(input, at, Math.ceil(length / 2 ** logPage));
    if (pages === null) throw new Refusal('key.translations');
    return mttSpans(start, length, logPage, pages);
  }
  const count = Math.min(mlx5_create_mkey_in.get(input, 'translations_octword_actual_size'), Math.floor((input.length - at) / mlx5_klm.size));
  if (count > 1 << LOG_MAX_KLMS) throw new Refusal('key.translations');
  const klms = Array.from({ length: count }, (_, i) => ({
    bcount: mlx5_klm.get(input, 'bcount', at + i * mlx5_klm.size),
    key: mlx5_klm.get(input, 'key', at + i * mlx5_klm.size),
    va: number(mlx5_klm.get(input, 'va', at + i * mlx5_klm.size)),
  }));
  return klmSpans(start, length, klms);
}

export const keyCommands: Commands = {
  [MLX5_CMD_OP_CREATE_MKEY]: {
    input: mlx5_create_mkey_in.size, output: HEAD, needs: 'initialised',
    run({ resources, chip, vhcaId }, input, output) {
      const get = (field: 'lr' | 'lw' | 'access_mode_1_0' | 'access_mode_4_2' | 'mkey_7_0' | 'length64' | 'pd'): number => mlx5_create_mkey_in.get(input, field);
      const mode = (get('access_mode_4_2') << 2) | get('access_mode_1_0');
      if (!KEY_MODES.includes(mode)) throw new Refusal('key.mode');
      resources.pds.get(get('pd'));
      const all = mode === MLX5_MKC_ACCESS_MODE_PA && get('length64') === 1;
      const start = all ? 0 : number(mlx5_create_mkey_in.get(input, 'start_addr'));
      const length = all ? Number.MAX_SAFE_INTEGER : number(mlx5_create_mkey_in.get(input, 'len'));
      if (length === 0 || !Number.isSafeInteger(start + length)) throw new Refusal('key.range');
      const key = chip.keys.create({
        vhca: vhcaId, mode, start, length, variant: get('mkey_7_0'),
        access: (get('lr') * VHOST_ACCESS_RO) | (get('lw') * VHOST_ACCESS_WO),
        spans: spans(input, mode, start, length),
      });
      mlx5_cmd_out.set(output, 'number', key);
    },
  },
  [MLX5_CMD_OP_DESTROY_MKEY]: {
    input: HEAD, output: 8, needs: 'initialised',
    run: ({ chip, vhcaId }, input) => chip.keys.destroy(vhcaId, mlx5_cmd_in.get(input, 'number')),
  },
};
