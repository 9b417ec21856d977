/**
 * Requests of the vhost-user protocol: their numbers, sizes and descriptors.
 *
 * @see QEMU docs/interop/vhost-user.rst
 */

export const VHOST_USER_GET_FEATURES = 1;
export const VHOST_USER_SET_FEATURES = 2;
export const VHOST_USER_SET_OWNER = 3;
export const VHOST_USER_RESET_OWNER = 4;
export const VHOST_USER_SET_MEM_TABLE = 5;
export const VHOST_USER_SET_LOG_BASE = 6;
export const VHOST_USER_SET_LOG_FD = 7;
export const VHOST_USER_SET_VRING_NUM = 8;
export const VHOST_USER_SET_VRING_ADDR = 9;
export const VHOST_USER_SET_VRING_BASE = 10;
export const VHOST_USER_GET_VRING_BASE = 11;
export const VHOST_USER_SET_VRING_KICK = 12;
export const VHOST_USER_SET_VRING_CALL = 13;
export const VHOST_USER_SET_VRING_ERR = 14;
export const VHOST_USER_GET_PROTOCOL_FEATURES = 15;
export const VHOST_USER_SET_PROTOCOL_FEATURES = 16;
export const VHOST_USER_GET_QUEUE_NUM = 17;
export const VHOST_USER_SET_VRING_ENABLE = 18;
export const VHOST_USER_SEND_RARP = 19;
export const VHOST_USER_NET_SET_MTU = 20;
export const VHOST_USER_SET_BACKEND_REQ_FD = 21;
export const VHOST_USER_IOTLB_MSG = 22;
export const VHOST_USER_SET_VRING_ENDIAN = 23;
export const VHOST_USER_GET_CONFIG = 24;
export const VHOST_USER_SET_CONFIG = 25;
export const VHOST_USER_CREATE_CRYPTO_SESSION = 26;
export const VHOST_USER_CLOSE_CRYPTO_SESSION = 27;
export const VHOST_USER_POSTCOPY_ADVISE = 28;
export const VHOST_USER_POSTCOPY_LISTEN = 29;
export const VHOST_USER_POSTCOPY_END = 30;
export const VHOST_USER_GET_INFLIGHT_FD = 31;
export const VHOST_USER_SET_INFLIGHT_FD = 32;
export const VHOST_USER_GPU_SET_SOCKET = 33;
export const VHOST_USER_RESET_DEVICE = 34;
export const VHOST_USER_VRING_KICK = 35;
export const VHOST_USER_GET_MAX_MEM_SLOTS = 36;
export const VHOST_USER_ADD_MEM_REG = 37;
export const VHOST_USER_REM_MEM_REG = 38;
export const VHOST_USER_SET_STATUS = 39;
export const VHOST_USER_GET_STATUS = 40;

/** What the back-end asks of the front-end, on a socket of its own. */
export const VHOST_USER_BACKEND_IOTLB_MSG = 1;
export const VHOST_USER_BACKEND_CONFIG_CHANGE_MSG = 2;
export const VHOST_USER_BACKEND_VRING_HOST_NOTIFIER_MSG = 3;

/** Regions of SET_MEM_TABLE. */
export const VHOST_MEMORY_MAX_NREGIONS = 8;
/** Bytes of one region, and of what is in front of the list. */
export const MEMORY_REGION_SIZE = 32;
export const MEMORY_HEAD_SIZE = 8;
/** Bytes of a configuration message: offset, size, flags, and at most 256 of contents. */
const CONFIG_HEAD_SIZE = 12;
const CONFIG_MAX = 256;
/** Largest payload that is taken at all. */
export const PAYLOAD_MAX = 4096;

/** The shape of one request. */
export interface RequestRule {
  readonly name: string;
  /** Payload bytes, least and most. */
  readonly size: readonly [number, number];
  /** Descriptors, least and most. */
  readonly fds: readonly [number, number];
  /** Whether the answer has a payload of its own; others are answered only where REPLY_ACK asks for it. */
  readonly replies: boolean;
}

function rule(name: string, size: number | readonly [number, number], fds: number | readonly [number, number] = 0, replies = false): RequestRule {
  return {
    name, replies,
    size: typeof size === 'number' ? [size, size] : size,
    fds: typeof fds === 'number' ? [fds, fds] : fds,
  };
}

const U64 = 8;
const STATE = 8;
const ADDR = 40;
/** `struct VhostUserInflight`, with and without the padding C puts behind it. */
const INFLIGHT = [20, 24] as const;
const CONFIG = [CONFIG_HEAD_SIZE, CONFIG_HEAD_SIZE + CONFIG_MAX] as const;
const REGION = MEMORY_HEAD_SIZE + MEMORY_REGION_SIZE;

/** Every request there is. */
export const REQUESTS: ReadonlyMap<number, RequestRule> = new Map([
  [VHOST_USER_GET_FEATURES, rule('GET_FEATURES', 0, 0, true)],
  [VHOST_USER_SET_FEATURES, rule('SET_FEATURES', U64)],
  [VHOST_USER_SET_OWNER, rule('SET_OWNER', 0)],
  [VHOST_USER_RESET_OWNER, rule('RESET_OWNER', 0)],
  [VHOST_USER_SET_MEM_TABLE, rule('SET_MEM_TABLE', [MEMORY_HEAD_SIZE, MEMORY_HEAD_SIZE + VHOST_MEMORY_MAX_NREGIONS * MEMORY_REGION_SIZE], [0, VHOST_MEMORY_MAX_NREGIONS])],
  [VHOST_USER_SET_LOG_BASE, rule('SET_LOG_BASE', [U64, 16], [0, 1], true)],
  [VHOST_USER_SET_LOG_FD, rule('SET_LOG_FD', [0, U64], [0, 1])],
  [VHOST_USER_SET_VRING_NUM, rule('SET_VRING_NUM', STATE)],
  [VHOST_USER_SET_VRING_ADDR, rule('SET_VRING_ADDR', ADDR)],
  [VHOST_USER_SET_VRING_BASE, rule('SET_VRING_BASE', STATE)],
  [VHOST_USER_GET_VRING_BASE, rule('GET_VRING_BASE', STATE, 0, true)],
  [VHOST_USER_SET_VRING_KICK, rule('SET_VRING_KICK', U64, [0, 1])],
  [VHOST_USER_SET_VRING_CALL, rule('SET_VRING_CALL', U64, [0, 1])],
  [VHOST_USER_SET_VRING_ERR, rule('SET_VRING_ERR', U64, [0, 1])],
  [VHOST_USER_GET_PROTOCOL_FEATURES, rule('GET_PROTOCOL_FEATURES', 0, 0, true)],
  [VHOST_USER_SET_PROTOCOL_FEATURES, rule('SET_PROTOCOL_FEATURES', U64)],
  [VHOST_USER_GET_QUEUE_NUM, rule('GET_QUEUE_NUM', 0, 0, true)],
  [VHOST_USER_SET_VRING_ENABLE, rule('SET_VRING_ENABLE', STATE)],
  [VHOST_USER_SEND_RARP, rule('SEND_RARP', U64)],
  [VHOST_USER_NET_SET_MTU, rule('NET_SET_MTU', U64)],
  [VHOST_USER_SET_BACKEND_REQ_FD, rule('SET_BACKEND_REQ_FD', [0, U64], 1)],
  [VHOST_USER_IOTLB_MSG, rule('IOTLB_MSG', [32, 40])],
  [VHOST_USER_SET_VRING_ENDIAN, rule('SET_VRING_ENDIAN', STATE)],
  [VHOST_USER_GET_CONFIG, rule('GET_CONFIG', CONFIG, 0, true)],
  [VHOST_USER_SET_CONFIG, rule('SET_CONFIG', CONFIG)],
  [VHOST_USER_CREATE_CRYPTO_SESSION, rule('CREATE_CRYPTO_SESSION', [0, PAYLOAD_MAX], 0, true)],
  [VHOST_USER_CLOSE_CRYPTO_SESSION, rule('CLOSE_CRYPTO_SESSION', U64)],
  [VHOST_USER_POSTCOPY_ADVISE, rule('POSTCOPY_ADVISE', 0, 0, true)],
  [VHOST_USER_POSTCOPY_LISTEN, rule('POSTCOPY_LISTEN', 0)],
  [VHOST_USER_POSTCOPY_END, rule('POSTCOPY_END', 0, 0, true)],
  [VHOST_USER_GET_INFLIGHT_FD, rule('GET_INFLIGHT_FD', INFLIGHT, 0, true)],
  [VHOST_USER_SET_INFLIGHT_FD, rule('SET_INFLIGHT_FD', INFLIGHT, 1)],
  [VHOST_USER_GPU_SET_SOCKET, rule('GPU_SET_SOCKET', 0, 1)],
  [VHOST_USER_RESET_DEVICE, rule('RESET_DEVICE', 0)],
  [VHOST_USER_VRING_KICK, rule('VRING_KICK', STATE)],
  [VHOST_USER_GET_MAX_MEM_SLOTS, rule('GET_MAX_MEM_SLOTS', 0, 0, true)],
  [VHOST_USER_ADD_MEM_REG, rule('ADD_MEM_REG', REGION, 1)],
  [VHOST_USER_REM_MEM_REG, rule('REM_MEM_REG', REGION, [0, 1])],
  [VHOST_USER_SET_STATUS, rule('SET_STATUS', U64)],
  [VHOST_USER_GET_STATUS, rule('GET_STATUS', 0, 0, true)],
]);

/** `SET_MEM_TABLE`, or the number of what there is no request for. */
export function requestName(request: number): string {
  return REQUESTS.get(request)?.name ?? `request ${request}`;
}
