/**
 * What tests of several packages share: claims on feature rows, starting one module by hand, fakes,
 * a mock ring driver, the tables of conformance suites.
 *
 * @packageDocumentation
 */
export { covers, coversTranscript } from '@vdpalab/features';
export { errnoOf, errnoOfSync } from './errno.ts';
export { startModule, unused } from './start-module.ts';
export type { RunningModule, Startable, Started } from './start-module.ts';
export { bootBuiltins } from './kernel/boot.ts';
export type { BootOptions, BootedKernel, Loadable, TestProcess } from './kernel/boot.ts';
export { FAKE_PARENT, fakeParent } from './vdpa-parent/parent.ts';
export type { FakeParent } from './vdpa-parent/parent.ts';
export type { FakeDevice, FakeMap, FakeQueue, FakeVqState } from './vdpa-parent/device.ts';
export { FAKE_DOORBELLS, FAKE_IRQ } from './vdpa-parent/ops.ts';
export type { FakeOps } from './vdpa-parent/ops.ts';
export { FAKE_NET_FEATURES } from './vdpa-parent/options.ts';
export type { FakeMapping, FakeParentOptions } from './vdpa-parent/options.ts';
export { VhostFile, anonymous, answerOf, echo } from './vdpa-parent/vhost-user-space.ts';
export type { Answer, UserCalls, UserProcess } from './vdpa-parent/vhost-user-space.ts';
export { VdpaTool } from './vdpa-parent/vdpa-tool.ts';
export { GenlTool } from './netlink/genl-tool.ts';
export type { Attrs, ToolAnswer, ToolCalls } from './netlink/genl-tool.ts';
export { describeDevlinkDriver } from './devlink/suite.ts';
export type { DevlinkSubject } from './devlink/suite.ts';
export { DevlinkTool } from './devlink/tool.ts';
export type { ShownParam, ShownPort } from './devlink/tool.ts';
export { TOY_DEVLINK, toyDevlink } from './devlink/toy-driver.ts';
export type { ToyDevlink } from './devlink/toy-driver.ts';
export { vhostSession } from './vdpa-parent/sessions.ts';
export type { SessionCalls, SessionInit, Step } from './vdpa-parent/sessions.ts';
export { toyVirtioDriver } from './vdpa-parent/virtio-driver.ts';
export { toyBusDriver } from './vdpa-parent/toy-bus-driver.ts';
export type { ToyBusDriver } from './vdpa-parent/toy-bus-driver.ts';
export { DirectRings, RING_IOVA } from './vdpa-parent/direct-rings.ts';
export type { DirectQueue, RingDevice, RingKernel } from './vdpa-parent/direct-rings.ts';
export { DriverRings } from './vdpa-parent/driver-rings.ts';
export type { DriverQueue, Piece } from './vdpa-parent/driver-rings.ts';
export { describeVdpaParent } from './vdpa-parent/conformance/suite.ts';
export { MANDATORY_OPS, OPTIONAL_OPS } from './vdpa-parent/conformance/subject.ts';
export type { FileText, OptionalOp, ParentOffers, VdpaParentSubject } from './vdpa-parent/conformance/subject.ts';
export { OpLog } from './vdpa-parent/conformance/op-log.ts';
export type { OpCall } from './vdpa-parent/conformance/op-log.ts';
export { transportChecks } from './virtio-transport/checks.ts';
export type { TransportBench, TransportCheck, TransportKernel } from './virtio-transport/checks.ts';
