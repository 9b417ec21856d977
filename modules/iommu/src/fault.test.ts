import type { IommuFault } from '@vdpalab/abi';
import { describe, expect, it } from 'vitest';
import { createFaultLog, faultLine } from './fault.ts';

const fault: IommuFault = { rid: 0x073a, pasid: null, iova: 0xffff_e123, write: true, reason: 'not-present', at: 0 };

describe('fault line', () => {
  it('is that of the Intel driver, address cut to its page', () => {
    expect(faultLine(fault)).toBe('DMAR: [DMA Write NO_PASID] Request device [07:07.2] fault addr 0xffffe000 '
      + '[fault reason 0x05] PTE Write access is not set');
  });

  it('names the missing read permission of a read', () => {
    expect(faultLine({ ...fault, write: false, reason: 'permission' })).toBe('DMAR: [DMA Read NO_PASID] Request device '
      + '[07:07.2] fault addr 0xffffe000 [fault reason 0x06] PTE Read access is not set');
  });

  it('says of a blocked or unknown requester that its context entry is not present', () => {
    for (const reason of ['blocked', 'no-entry'] as const) {
      expect(faultLine({ ...fault, reason })).toMatch(/\[fault reason 0x02\] Present bit in context entry is clear$/);
    }
  });

  it('shows the PASID of a tagged request and addresses above 4 GiB', () => {
    expect(faultLine({ ...fault, pasid: 0x1a, iova: 0x1_2345_6789_abc })).toMatch(
      /^DMAR: \[DMA Write PASID 0x1a\] Request device \[07:07\.2\] fault addr 0x123456789000 /);
  });
});

describe('fault log', () => {
  it('lets ten lines pass in five seconds and tells how many were held back', () => {
    const lines: string[] = [];
    const log = createFaultLog((level, text) => {
      lines.push(`${level} ${text}`);
    });
    for (let i = 0; i < 13; i++) log({ ...fault, at: i });
    expect(lines).toHaveLength(10);
    log({ ...fault, at: 5_000_000_000 });
    expect(lines.slice(10)).toEqual(['4 dmar_fault: 3 callbacks suppressed', `3 ${faultLine(fault)}`]);
  });
});
