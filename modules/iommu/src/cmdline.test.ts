import { describe, expect, it } from 'vitest';
import { defaultDomainType } from './cmdline.ts';

describe('default domain type', () => {
  it.each([
    ['', 'DMA', false],
    ['quiet ro', 'DMA', false],
    ['iommu=pt', 'identity', true],
    ['intel_iommu=on iommu=soft,pt quiet', 'identity', true],
    ['iommu=nopt', 'DMA', true],
    ['iommu=pt iommu.passthrough=0', 'DMA', true],
    ['iommu.passthrough=y', 'identity', true],
    ['iommu.passthrough', 'identity', true],
    ['iommu.passthrough=maybe', 'DMA', false],
    ['iommu=force', 'DMA', false],
  ] as const)('of %j is %s', (cmdline, type, fromCmdline) => {
    expect(defaultDomainType(cmdline)).toEqual({ type, fromCmdline });
  });
});
