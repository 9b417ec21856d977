import { goesAsWritten } from '../support/goes-as-written.ts';

goesAsWritten('virtio-pci', 'virtio functions and the three drivers that want them');
