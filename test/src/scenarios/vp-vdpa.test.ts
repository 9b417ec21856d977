import { goesAsWritten } from '../support/goes-as-written.ts';

goesAsWritten('vp-vdpa', 'a transitional function under ifcvf and vp_vdpa without an IOMMU');
