/** What the kernel command line says of default domains. Mirrors `drivers/iommu/iommu.c` (Linux 6.1). */
import type { IommuDomainType } from './header.ts';

/** The choice and whether the command line made it. */
export interface DefaultDomainType {
  readonly type: Extract<IommuDomainType, 'DMA' | 'identity'>;
  readonly fromCmdline: boolean;
}

/**
 * Read `iommu=pt`, `iommu=nopt` and `iommu.passthrough=BOOL`; the last one wins.
 *
 * @see arch/x86/kernel/pci-dma.c `iommu_setup`, drivers/iommu/iommu.c `iommu_set_def_domain_type`
 */
export function defaultDomainType(cmdline: string): DefaultDomainType {
  let chosen: DefaultDomainType = { type: 'DMA', fromCmdline: false };
  for (const word of cmdline.split(/\s+/)) {
    const pass = passthrough(word);
    if (pass !== null) chosen = { type: pass ? 'identity' : 'DMA', fromCmdline: true };
  }
  return chosen;
}

function passthrough(word: string): boolean | null {
  if (word === 'iommu.passthrough') return true;
  const [name, value = ''] = word.split('=', 2);
  if (name === 'iommu') {
    const options = value.split(',');
    if (options.includes('pt')) return true;
    return options.includes('nopt') ? false : null;
  }
  if (name !== 'iommu.passthrough') return null;
  if (/^([yYtT1]|[oO][nN])/.test(value)) return true;
  return /^([nNfF0]|[oO][fF])/.test(value) ? false : null;
}
