/** Which symbols acquire something, and so can be refused: told by their names, as Linux's are made. */
import type { ErrnoName } from '@vdpalab/abi';

/** Kinds of acquisition, with the errno a real failure of the kind most often has. */
export const KIND_ERRNO = {
  alloc: 'ENOMEM', create: 'ENOMEM', add: 'ENOMEM', map: 'ENOMEM', init: 'ENOMEM', find: 'ENOENT',
  register: 'ENOMEM', request: 'EBUSY', attach: 'EBUSY', enable: 'EIO', set: 'EIO', get: 'EINVAL', load: 'ENOMEM', op: 'EIO',
} as const satisfies Readonly<Record<string, ErrnoName>>;

/** A kind of acquisition; `load` is a step of the module loader, `op` a call of one of the module's own operations. */
export type Kind = keyof typeof KIND_ERRNO;

/** Words of a symbol's name, and the kind they make it; the first that is found counts. */
const WORDS: readonly (readonly [RegExp, Kind])[] = [
  [/^i?o?alloc$|^build$|^vmalloc$|^kmalloc$|^kzalloc$|^allocate$/, 'alloc'],
  [/^create$|^run$/, 'create'],
  [/^register$/, 'register'],
  [/^map$|^iomap$|^pin$|^mmap$|^ioremap$/, 'map'],
  [/^request$|^claim$|^reserve$/, 'request'],
  [/^attach$|^probe$|^use$|^bind$/, 'attach'],
  [/^add$|^insert$/, 'add'],
  [/^fdget$/, 'get'],
];

/** Names that their words do not tell. */
const NAMED: Readonly<Record<string, Kind>> = {
  pci_enable_device: 'enable', pcim_enable_device: 'enable', pci_enable_sriov: 'enable', pci_sriov_configure_simple: 'enable',
  dma_set_mask: 'set', dma_set_mask_and_coherent: 'set', dma_set_coherent_mask: 'set',
  try_module_get: 'get', vhost_dev_init: 'init', vringh_init_iotlb: 'init', virtio_find_vqs: 'find', vp_modern_probe: 'attach',
};

/** Give-backs, and what cannot fail in Linux: void functions, and names that only look like an acquisition. */
const NOT = /unregister|(^|_)(free|del|delete|put|unmap|unpin|release|remove|destroy|detach|unuse|dealloc|find|lookup|present|capable)(_|$)|^(netif_napi_add|kobject_uevent|bus_register_notifier|register_module_notifier|list_add|vdpa_map|iommu_iotlb_sync_map)/;

/** The kind of acquisition that a symbol is; `null` for one that acquires nothing. */
export function acquisitionOf(symbol: string): Kind | null {
  const named = NAMED[symbol];
  if (named !== undefined) return named;
  if (NOT.test(symbol)) return null;
  const words = symbol.split('_');
  return WORDS.find(([pattern]) => words.some((word) => pattern.test(word)))?.[1] ?? null;
}
