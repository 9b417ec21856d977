/** NETLINK_ROUTE, links only. Mirrors `net/core/rtnetlink.c` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import type { Process } from '@vdpalab/fs';
import type { NetlinkKernelSock, NetlinkReply } from '@vdpalab/netlink';
import * as uapi from '@vdpalab/uapi';
import { linkNotification, linkPayload } from './link-message.ts';
import { extMask, findDevice, readRequest } from './link-request.ts';
import type { LinkRequest } from './link-request.ts';
import type { NetDev } from './net-device.ts';
import { setLink } from './set-link.ts';
import { withRtnl } from './table.ts';
import type { NetWorld } from './table.ts';

const GENMSG_SIZE = 4;

/** The kernel's side of the protocol. */
export function routeSocket(world: NetWorld): NetlinkKernelSock {
  return {
    protocol: uapi.NETLINK_ROUTE,
    async input(type, flags, payload, proc, reply) {
      checkPermission(type, proc);
      switch (type) {
        case uapi.RTM_GETLINK:
          if ((flags & uapi.NLM_F_DUMP) === uapi.NLM_F_DUMP) await withRtnl(world, async () => dumpLinks(world, payload, reply));
          else await withRtnl(world, async () => getLink(world, readRequest(payload), reply));
          return;
        case uapi.RTM_NEWLINK:
          await withRtnl(world, () => newLink(world, readRequest(payload), flags));
          return;
        case uapi.RTM_SETLINK:
          await withRtnl(world, () => changeLink(world, readRequest(payload)));
          return;
        case uapi.RTM_DELLINK:
          await withRtnl(world, async () => deleteLink(world, readRequest(payload)));
          return;
        case uapi.RTM_GETADDR:
          // There are no addresses: no internet protocol is here.
          if ((flags & uapi.NLM_F_DUMP) === uapi.NLM_F_DUMP) return;
          throw new KernelError('EOPNOTSUPP', 'rtnetlink.address', 'addresses are only listed');
        default:
          throw new KernelError('EOPNOTSUPP', 'rtnetlink.type', `rtnetlink message ${type} is not served`);
      }
    },
  };
}

/** Tell RTNLGRP_LINK of a device. @see `rtmsg_ifinfo` */
export function notifyLink(world: Pick<NetWorld, 'k'>, dev: NetDev, change: number, gone: boolean): undefined {
  const { k } = world;
  const payload = linkPayload(dev, change, 0, k.nlmsg_builder());
  const type = gone ? uapi.RTM_DELLINK : uapi.RTM_NEWLINK;
  return k.netlink_broadcast(uapi.NETLINK_ROUTE, uapi.RTNLGRP_LINK, linkNotification(type, payload));
}

/** All but reading needs CAP_NET_ADMIN: the last two bits of a message's number say what it does. */
function checkPermission(type: number, proc: Process): undefined {
  const kind = type & 3;
  if (kind === 2 || proc.cred.caps.has(uapi.CAP_NET_ADMIN)) return;
  throw new KernelError('EPERM', 'rtnetlink.cap', `${proc.comm}: changing a link needs CAP_NET_ADMIN`);
}

/** @throws ENODEV EINVAL @see `rtnl_getlink` */
function getLink(world: NetWorld, request: LinkRequest, reply: NetlinkReply): undefined {
  const dev = deviceOf(world, request);
  if (dev === null) throw noDevice(request);
  return reply.message(uapi.RTM_NEWLINK, linkPayload(dev, 0, extMask(request), world.k.nlmsg_builder()));
}

/** @see `rtnl_dump_ifinfo` */
function dumpLinks({ devices, k }: NetWorld, payload: Uint8Array, reply: NetlinkReply): undefined {
  // Old tools send no more than a family.
  const mask = payload.length < uapi.ifinfomsg.size && payload.length >= 1 && payload.length <= GENMSG_SIZE ? 0 : extMask(readRequest(payload));
  for (const dev of devices.list()) reply.message(uapi.RTM_NEWLINK, linkPayload(dev, 0, mask, k.nlmsg_builder()));
}

/**
 * Change an interface that exists; none can be made.
 *
 * @throws EEXIST with NLM_F_EXCL; EOPNOTSUPP with NLM_F_REPLACE, or for a new one; ENODEV without NLM_F_CREATE
 * @see `__rtnl_newlink`
 */
async function newLink(world: NetWorld, request: LinkRequest, flags: number): Promise<void> {
  const { head, name } = request;
  const dev = head.ifi_index > 0 || name !== null ? deviceOf(world, request) : null;
  if (dev === null) {
    if ((flags & uapi.NLM_F_CREATE) === 0) throw noDevice(request);
    throw new KernelError('EOPNOTSUPP', 'rtnetlink.link.kind', 'no kind of interface can be made here', { extack: 'Unknown device type' });
  }
  if ((flags & uapi.NLM_F_EXCL) !== 0) throw new KernelError('EEXIST', 'rtnetlink.link.exists', `interface ${dev.name} exists`);
  if ((flags & uapi.NLM_F_REPLACE) !== 0) throw new KernelError('EOPNOTSUPP', 'rtnetlink.link.replace', `${dev.name}: not replaced`);
  await setLink(world, dev, request);
}

/** @throws ENODEV EINVAL @see `rtnl_setlink` */
async function changeLink(world: NetWorld, request: LinkRequest): Promise<void> {
  const dev = deviceOf(world, request);
  if (dev === null) throw noDevice(request);
  await setLink(world, dev, request);
}

/** @throws EOPNOTSUPP: these devices are their drivers' @see `rtnl_delete_link` */
function deleteLink(world: NetWorld, request: LinkRequest): never {
  const dev = deviceOf(world, request);
  if (dev === null) throw noDevice(request);
  throw new KernelError('EOPNOTSUPP', 'rtnetlink.link.delete', `${dev.name} goes with its driver only`);
}

function deviceOf({ devices }: NetWorld, request: LinkRequest): NetDev | null {
  return findDevice(request, (n) => devices.index(n), (n) => devices.name(n));
}

function noDevice({ head, name }: LinkRequest): KernelError {
  return new KernelError('ENODEV', 'rtnetlink.link.absent', `no interface ${head.ifi_index > 0 ? head.ifi_index : name ?? ''}`);
}
