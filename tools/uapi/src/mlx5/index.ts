/** The ConnectX command interface: what the device's firmware and its driver agree upon. */
export * from './commands.ts';
export * from './device.ts';
export * from './ifc.ts';
export * from './ifc-caps.ts';
export * from './ifc-flow.ts';
export * from './ifc-header.ts';
export * from './ifc-resources.ts';
export * from './ifc-vdpa.ts';
