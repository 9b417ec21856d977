/** `include/linux/pci_ids.h` (Linux 6.1), kernel-internal: vendors and classes of the devices modelled. */

// Vendors.
export const PCI_VENDOR_ID_INTEL = 0x8086;
export const PCI_VENDOR_ID_MELLANOX = 0x15b3;
export const PCI_VENDOR_ID_REDHAT = 0x1b36;
export const PCI_VENDOR_ID_REDHAT_QUMRANET = 0x1af4;
export const PCI_ANY_ID = 0xffffffff;

// Classes: base class and subclass; the PCI class register has a programming interface byte below.
export const PCI_BASE_CLASS_NETWORK = 0x02;
export const PCI_BASE_CLASS_BRIDGE = 0x06;
export const PCI_CLASS_STORAGE_SCSI = 0x0100;
export const PCI_CLASS_STORAGE_OTHER = 0x0180;
export const PCI_CLASS_NETWORK_ETHERNET = 0x0200;
export const PCI_CLASS_NETWORK_OTHER = 0x0280;
export const PCI_CLASS_BRIDGE_HOST = 0x0600;
export const PCI_CLASS_BRIDGE_PCI = 0x0604;
export const PCI_CLASS_BRIDGE_PCI_NORMAL = 0x060400;
export const PCI_CLASS_COMMUNICATION_SERIAL = 0x0700;
export const PCI_CLASS_SYSTEM_OTHER = 0x0880;
export const PCI_CLASS_OTHERS = 0xff;
