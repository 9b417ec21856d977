/** vhost-user sockets whose back-end is a vDPA device of the lab. */
export { GuestMemory, type GuestRegion } from './memory/guest-memory.ts';
export { HostFile, type MemorySite } from './memory/host-file.ts';
export { Channel, type ChannelEvents } from './protocol/channel.ts';
export * from './protocol/features.ts';
export * from './protocol/message.ts';
export * from './protocol/requests.ts';
export { MANDATORY_OPS, type RteVdpaDevOps, type VdpaDeviceType } from './rte_vdpa/ops.ts';
export { VdpaRegistry, type RteVdpaDevice, type RteVdpaStat } from './rte_vdpa/registry.ts';
export { RteVhost, type RteVhostVring, type VhostOptions } from './vhost/library.ts';
export { VhostVdpaDriver, vhostVdpaPath } from './vhost-vdpa/driver.ts';
export { DisconnectedError, VhostUserClient, type Answer } from './front-end/client.ts';
export { FrontEndLog } from './front-end/dirty-log.ts';
export { FrontEndNet, type FrontEndOptions } from './front-end/net.ts';
export { VdpaApp, type ProbedDriver } from './app/app.ts';
export { COMMANDS, runLine, type Said } from './app/commands.ts';
export { IfcDriver } from './ifc/driver.ts';
export { IfcHardware, type HwRing } from './ifc/hw.ts';
export { isPciAddress, parseArguments, type IfcArguments } from './ifc/probe.ts';
