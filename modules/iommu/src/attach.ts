/** Domains of users' own: allocation, attachment. Mirrors `drivers/iommu/iommu.c` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import { Domain } from './domain.ts';
import type { Domains } from './domain.ts';
import type { Group, Groups } from './group.ts';
import type { IommuDomain, IommuSymbols } from './header.ts';
import { coreDomain } from './ownership.ts';

type AttachSymbols = Pick<IommuSymbols,
  'iommu_domain_alloc' | 'iommu_domain_free' | 'iommu_attach_device' | 'iommu_detach_device' | 'iommu_attach_group'
  | 'iommu_detach_group'>;

/** Make the attachments of one machine with an IOMMU. */
export function createAttach(groups: Groups, domains: Domains): AttachSymbols {
  function attach(handle: IommuDomain, group: Group): undefined {
    const domain = own(handle, domains);
    const { domain: now, default_domain, blocking_domain } = group;
    if (now !== null && now !== default_domain && now !== blocking_domain) {
      throw new KernelError('EBUSY', 'iommu.attach.taken', `iommu group ${group.id}: another domain is attached already`);
    }
    groups.setDomain(group, domain);
  }

  /** Back to the default domain, or to the wall when somebody owns the group; nothing when it is not attached. */
  function detach(domain: IommuDomain, group: Group): undefined {
    if (group.domain === domain) groups.setDomain(group, coreDomain(group, domains));
  }

  return {
    iommu_domain_alloc(dev) {
      if (groups.of(dev) === null) {
        throw new KernelError('ENODEV', 'iommu.domain.no-group', `${dev.name}: not behind an IOMMU`);
      }
      return domains.alloc('unmanaged');
    },
    iommu_domain_free: (domain) => domains.free(own(domain, domains)),
    iommu_attach_device(domain, dev) {
      const group = groups.of(dev);
      if (group === null) throw new KernelError('ENODEV', 'iommu.attach.no-group', `${dev.name}: not behind an IOMMU`);
      if (group.devices.length !== 1) {
        throw new KernelError('EINVAL', 'iommu.attach.not-alone',
          `${dev.name}: iommu group ${group.id} has ${group.devices.length} devices`);
      }
      attach(domain, group);
    },
    iommu_detach_device(domain, dev) {
      const group = groups.of(dev);
      if (group !== null) detach(domain, group);
    },
    iommu_attach_group: (domain, handle) => attach(domain, groups.own(handle)),
    iommu_detach_group(domain, handle) {
      // Its last device may have gone first.
      const group = groups.list().find((one) => one === handle);
      if (group !== undefined) detach(domain, group);
    },
  };
}

function own(handle: IommuDomain, domains: Domains): Domain {
  if (handle instanceof Domain && domains.all.has(handle)) return handle;
  throw new Error(`iommu: a ${handle.type} domain is used after it was freed`);
}
