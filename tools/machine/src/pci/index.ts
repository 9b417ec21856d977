/** PCI: configuration spaces, bridges, BARs, MSI-X, SR-IOV. */
export * from './bars.ts';
export * from './bridge.ts';
export * from './capabilities.ts';
export * from './config-image.ts';
export * from './config-space.ts';
export * from './create.ts';
export * from './function.ts';
export * from './host.ts';
export * from './mirror.ts';
export * from './model.ts';
export * from './msix.ts';
export * from './sriov.ts';
