/** What a device takes of its function for as long as it lives. Mirrors `core/resources.c` and `alloc_fixed_resources` (Linux 6.1). */
import type { UndoStack } from '@vdpalab/abi';
import type { Mlx5CoreDev } from '@vdpalab/mlx5-core';
import type { IoMem } from '@vdpalab/pci';
import {
  MLX5_CAP_GENERAL, MLX5_CAP_VDPA_EMULATION, MLX5_CMD_OP_QUERY_SPECIAL_CONTEXTS, mlx5_cmd_hca_cap, mlx5_cmd_in, mlx5_create_tis_in,
  mlx5_query_special_contexts_out, mlx5_virtio_emulation_cap,
} from '@vdpalab/uapi';
import type { VnetKernel } from './kernel.ts';

const PAGE_SIZE = 4096;
const LOG_PAGE = 12;

/** `struct mlx5_vdpa_resources` */
export interface Resources {
  readonly pdn: number;
  readonly nullMkey: number;
  readonly tdn: number;
  readonly tisn: number;
  /** The doorbells of all queues: a write of 16 bits with a queue's index. */
  readonly kick: IoMem;
  /** Physical address of the doorbells, where a process may have them: `null` when other subfunctions' registers are on the same page. */
  readonly doorbell: number | null;
  /** Whether there may be a key of all memory: `umem_uid_0`. */
  readonly identity: boolean;
}

/** Take them. @param undo gives them back */
export async function takeResources(k: VnetKernel, mdev: Mlx5CoreDev, undo: UndoStack): Promise<Resources> {
  const general = mdev.hca_cap(MLX5_CAP_GENERAL);
  const pdn = await k.mlx5_core_alloc_pd(mdev);
  undo.push('protection domain', () => k.mlx5_core_dealloc_pd(mdev, pdn));
  const special = await k.mlx5_cmd_exec(mdev, mlx5_cmd_in.make({ opcode: MLX5_CMD_OP_QUERY_SPECIAL_CONTEXTS }), mlx5_query_special_contexts_out.size);
  const offset = Number(mlx5_virtio_emulation_cap.get(mdev.hca_cap(MLX5_CAP_VDPA_EMULATION), 'doorbell_bar_offset'));
  const kick = k.pci_iomap_range(mdev.pdev, mdev.bar, mdev.bar_offset + offset, PAGE_SIZE);
  undo.push('doorbells', () => void k.pci_iounmap(mdev.pdev, kick));
  const tdn = await k.mlx5_core_alloc_transport_domain(mdev);
  undo.push('transport domain', () => k.mlx5_core_dealloc_transport_domain(mdev, tdn));
  const tisn = await k.mlx5_core_create_tis(mdev, mlx5_create_tis_in.make({ transport_domain: tdn }));
  undo.push('TIS', () => k.mlx5_core_destroy_tis(mdev, tisn));
  return {
    pdn, tdn, tisn, kick,
    nullMkey: mlx5_query_special_contexts_out.get(special, 'null_mkey'),
    doorbell: mlx5_cmd_hca_cap.get(general, 'log_min_sf_size') + LOG_PAGE < Math.log2(PAGE_SIZE) ? null : mdev.bar_addr + offset,
    identity: mlx5_cmd_hca_cap.get(general, 'umem_uid_0') === 1,
  };
}
