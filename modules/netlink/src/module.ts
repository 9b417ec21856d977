/** Netlink sockets and generic netlink. Mirrors `net/netlink` and the sockets of `lib/kobject_uevent.c` (Linux 6.1). */
import { defineModule } from '@vdpalab/abi';
import type { Atomic } from '@vdpalab/abi';
import type { Uevent } from '@vdpalab/driver-core';
import { AF_NETLINK, CTRL_CMD_DELFAMILY, CTRL_CMD_NEWFAMILY, GENL_MAX_ID, NETLINK_GENERIC, NETLINK_KOBJECT_UEVENT, NlaBuilder } from '@vdpalab/uapi';
import { netlinkFamily } from './af-netlink.ts';
import { classicInput } from './classic.ts';
import { CTRL_GROUP, controller, describeFamily } from './ctrl.ts';
import { Families } from './family.ts';
import type { RegisteredFamily } from './family.ts';
import { GenlInput, genlMulticast } from './genl.ts';
import type { GenlFamily } from './header.ts';
import { imports } from './kernel.ts';
import { parseAttributes } from './policy.ts';
import { NetlinkTable } from './table.ts';
import { UEVENT_GROUP, ueventBytes } from './uevent.ts';

export default defineModule({
  name: 'netlink',
  license: 'GPL',
  description: 'Netlink sockets, generic netlink and uevents to user space',
  builtin: true,
  imports,
  weakImports: ['note_refusal'],
  exports: ['netlink_kernel_release', 'netlink_broadcast', 'genl_register_family', 'genl_unregister_family', 'nla_parse'],
  exportsGpl: ['netlink_kernel_create', 'genlmsg_multicast', 'nlmsg_builder', 'netlink_leftovers'],

  module_init(k, mod) {
    const table = new NetlinkTable(k);
    const families = new Families();
    const genl = new GenlInput(k, table, families);
    const ctrl = families.add(controller(families), true);
    const own = [NETLINK_GENERIC, NETLINK_KOBJECT_UEVENT];
    table.create(NETLINK_GENERIC, (request) => genl.receive(request), GENL_MAX_ID);
    table.create(NETLINK_KOBJECT_UEVENT, null);
    const onUevent = (event: Uevent): Atomic =>
      table.broadcast(NETLINK_KOBJECT_UEVENT, { bytes: ueventBytes(event), portid: 0, group: UEVENT_GROUP });
    k.uevent_listen(onUevent);
    mod.undo.push('uevent listener', () => k.uevent_unlisten(onUevent));
    k.sock_register(netlinkFamily(k, table));
    mod.undo.push('AF_NETLINK', () => k.sock_unregister(AF_NETLINK));

    const announce = (registered: RegisteredFamily, cmd: number): Atomic =>
      genlMulticast(table, ctrl, families.group(ctrl, CTRL_GROUP), cmd, (msg) => describeFamily(registered, msg));
    const find = (family: GenlFamily): RegisteredFamily => {
      const registered = families.of(family);
      if (registered === null) throw new Error(`generic netlink family ${family.name}: not registered`);
      return registered;
    };

    return {
      ksymtab: {
        genl_register_family: (family) => announce(families.add(family), CTRL_CMD_NEWFAMILY),
        genl_unregister_family: (family): Atomic => {
          const registered = find(family);
          for (const group of families.remove(registered)) table.clearGroup(NETLINK_GENERIC, group);
          return announce(registered, CTRL_CMD_DELFAMILY);
        },
        genlmsg_multicast: (family, group, cmd, fill) => {
          const registered = find(family);
          return genlMulticast(table, registered, families.group(registered, group), cmd, fill);
        },
        netlink_kernel_create: (sock): Atomic => void table.create(sock.protocol, classicInput(table, sock)),
        netlink_kernel_release: (protocol): Atomic => void table.release(protocol),
        netlink_broadcast: (protocol, group, bytes) => table.broadcast(protocol, { bytes: bytes.slice(), portid: 0, group }),
        nla_parse: parseAttributes,
        nlmsg_builder: () => new NlaBuilder(),
        netlink_leftovers: () => [
          ...families.all().filter((f) => f !== ctrl).map((f) => `generic netlink family ${f.family.name}`),
          ...table.protocols.filter((protocol) => !own.includes(protocol)).map((protocol) => `netlink protocol ${protocol}`),
          ...table.sockets.map((socket) => `netlink socket of ${socket.comm}, port ${socket.portid}`),
        ],
      },
      module_exit: null,
    };
  },
});
