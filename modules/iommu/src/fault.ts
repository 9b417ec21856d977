/** The kernel's report of refused DMA, in the words of `drivers/iommu/intel/dmar.c` (Linux 6.1). */
import type { IommuFault, VmlinuxSymbols } from '@vdpalab/abi';
import { PCI_BUS_NUM, PCI_FUNC, PCI_SLOT } from '@vdpalab/uapi';
import { hex, offsetInPage } from './page.ts';

const KERN_ERR = 3;
const KERN_WARNING = 4;
/** `DEFAULT_RATELIMIT_INTERVAL` in ns, and how many lines pass in one. */
const RATELIMIT_INTERVAL = 5_000_000_000;
const RATELIMIT_BURST = 10;

/** Code and text of a fault, by what the platform IOMMU refused. */
function reason(fault: IommuFault): readonly [number, string] {
  if (fault.reason === 'blocked' || fault.reason === 'no-entry') return [0x02, 'Present bit in context entry is clear'];
  return fault.write ? [0x05, 'PTE Write access is not set'] : [0x06, 'PTE Read access is not set'];
}

/** The line dmesg shows for one fault. */
export function faultLine(fault: IommuFault): string {
  const { rid, pasid, iova } = fault;
  const [code, text] = reason(fault);
  const devfn = rid & 0xff;
  const device = `${two(PCI_BUS_NUM(rid))}:${two(PCI_SLOT(devfn))}.${PCI_FUNC(devfn)}`;
  const tag = pasid === null ? 'NO_PASID' : `PASID ${hex(pasid)}`;
  return `DMAR: [DMA ${fault.write ? 'Write' : 'Read'} ${tag}] Request device [${device}] `
    + `fault addr ${hex(iova - offsetInPage(iova))} [fault reason 0x${two(code)}] ${text}`;
}

/**
 * A listener that logs faults, at most ten in five seconds as `__ratelimit` lets them pass.
 *
 * The line "DRHD: handling fault status reg", which Linux prints before, is about a register that is not modelled.
 */
export function createFaultLog(printk: VmlinuxSymbols['_printk']): (fault: IommuFault) => undefined {
  let begin = -Infinity;
  let printed = 0;
  let missed = 0;
  return (fault) => {
    if (fault.at - begin >= RATELIMIT_INTERVAL) {
      if (missed > 0) printk(KERN_WARNING, `dmar_fault: ${missed} callbacks suppressed`);
      begin = fault.at;
      printed = 0;
      missed = 0;
    }
    if (printed === RATELIMIT_BURST) {
      missed++;
      return;
    }
    printed++;
    printk(KERN_ERR, faultLine(fault));
  };
}

function two(value: number): string {
  return value.toString(16).padStart(2, '0');
}
