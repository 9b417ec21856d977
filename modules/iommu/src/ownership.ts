/** Who may decide over a group's DMA. Mirrors `drivers/iommu/iommu.c` (Linux 6.1), `iommu_*_dma_owner`. */
import { KernelError } from '@vdpalab/abi';
import type { Domains } from './domain.ts';
import type { Group, Groups } from './group.ts';
import type { IommuSymbols } from './header.ts';

type OwnershipSymbols = Pick<IommuSymbols,
  'iommu_device_use_default_domain' | 'iommu_device_unuse_default_domain' | 'iommu_group_claim_dma_owner'
  | 'iommu_group_release_dma_owner' | 'iommu_group_dma_owner_claimed' | 'iommu_device_lend_dma' | 'iommu_device_reclaim_dma'>;

/** The domain of a group that no user of its own has attached: a wall while claimed, else the default. */
export function coreDomain(group: Group, domains: Domains): Group['domain'] {
  if (group.owner === null) return group.default_domain;
  group.blocking_domain ??= domains.alloc('blocked');
  return group.blocking_domain;
}

/** Make the claims of one machine with an IOMMU. */
export function createOwnership(groups: Groups, domains: Domains): OwnershipSymbols {
  return {
    iommu_device_use_default_domain(dev) {
      const group = groups.of(dev);
      if (group === null) return;
      if (group.owner_cnt > 0 && (group.owner !== null || group.domain !== group.default_domain)) {
        throw new KernelError('EBUSY', 'iommu.owner.use-default', group.owner !== null
          ? `${dev.name}: iommu group ${group.id} is owned by user space`
          : `${dev.name}: iommu group ${group.id} is on another than its default domain`);
      }
      group.claims.set(dev, (group.claims.get(dev) ?? 0) + 1);
    },
    iommu_device_unuse_default_domain(dev) {
      const group = groups.of(dev);
      if (group === null) return;
      const claims = group.claims.get(dev) ?? 0;
      if (claims === 0) throw new Error(`${dev.name}: gives back a claim on iommu group ${group.id} that it has not`);
      if (claims > 1) group.claims.set(dev, claims - 1);
      else group.claims.delete(dev);
    },
    iommu_device_lend_dma(dev) {
      const group = groups.of(dev);
      if (group?.claims.has(dev) === true) group.lent.add(dev);
    },
    iommu_device_reclaim_dma: (dev) => void groups.of(dev)?.lent.delete(dev) as undefined,
    iommu_group_claim_dma_owner(handle, owner) {
      const group = groups.own(handle);
      if (owner === null || owner === undefined) throw new Error(`iommu group ${group.id}: claimed for nobody`);
      if (group.owner_cnt > 0) {
        const whom = group.owner === null ? `${group.owner_cnt} host drivers` : 'another owner';
        throw new KernelError('EPERM', 'iommu.owner.claim', `iommu group ${group.id}: claimed by ${whom}`);
      }
      if (group.domain !== group.default_domain) {
        throw new KernelError('EBUSY', 'iommu.owner.not-default',
          `iommu group ${group.id}: its domain is ${group.domain?.type}, not the default one`);
      }
      group.owner = owner;
      groups.setDomain(group, coreDomain(group, domains));
    },
    iommu_group_release_dma_owner(handle) {
      const group = groups.own(handle);
      if (group.owner === null) throw new Error(`iommu group ${group.id}: released, but nobody owns it`);
      group.owner = null;
      groups.setDomain(group, coreDomain(group, domains));
    },
    iommu_group_dma_owner_claimed: (handle) => groups.own(handle).owner_cnt > 0,
  };
}
