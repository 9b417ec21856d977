/** Names the vdpa tool of iproute2 6.1 gives classes and features. */

/** Classes of devices by virtio id. */
export const CLASS: Readonly<Record<number, string>> = { 1: 'network', 2: 'block' };
/** The same, as management devices list them. */
export const MGMT_CLASS: Readonly<Record<number, string>> = { 1: 'net', 2: 'block' };

const NET: Readonly<Record<number, string>> = {
  0: 'CSUM', 1: 'GUEST_CSUM', 2: 'CTRL_GUEST_OFFLOADS', 3: 'MTU', 5: 'MAC', 7: 'GUEST_TSO4', 8: 'GUEST_TSO6', 9: 'GUEST_ECN', 10: 'GUEST_UFO',
  11: 'HOST_TSO4', 12: 'HOST_TSO6', 13: 'HOST_ECN', 14: 'HOST_UFO', 15: 'MRG_RXBUF', 16: 'STATUS', 17: 'CTRL_VQ', 18: 'CTRL_RX', 19: 'CTRL_VLAN',
  20: 'CTRL_RX_EXTRA', 21: 'GUEST_ANNOUNCE', 22: 'MQ', 23: 'CTRL_MAC_ADDR', 24: 'NOTIFY_ON_EMPTY', 27: 'ANY_LAYOUT', 57: 'HASH_REPORT', 60: 'RSS',
  61: 'RSC_EXT', 62: 'STANDBY', 63: 'SPEED_DUPLEX',
};

const ANY: Readonly<Record<number, string>> = {
  28: 'RING_INDIRECT_DESC', 29: 'RING_EVENT_IDX', 32: 'VERSION_1', 33: 'ACCESS_PLATFORM', 34: 'RING_PACKED', 35: 'IN_ORDER', 36: 'ORDER_PLATFORM',
  37: 'SR_IOV', 38: 'NOTIFICATION_DATA',
};

/** Feature bits that are set, lowest first, and the tool's names for them where it has some. */
export function featureNames(features: bigint, network: boolean): { readonly bit: number; readonly name: string | null }[] {
  return Array.from({ length: 64 }, (_, bit) => bit).filter((bit) => (features & (1n << BigInt(bit))) !== 0n)
    .map((bit) => ({ bit, name: ANY[bit] ?? (network ? NET[bit] : undefined) ?? null }));
}
