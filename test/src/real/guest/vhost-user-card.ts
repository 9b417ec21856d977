/** QEMU's arguments for a network card whose back-end is behind a vhost-user socket. */

/** Its guest's memory has to be shared. Without `vectors=0` QEMU 7.2 itself crashes where there is no KVM. */
export function vhostUserCard(path: string): readonly string[] {
  return [
    '-chardev', `socket,id=c0,path=${path}`, '-netdev', 'vhost-user,id=n0,chardev=c0', '-device', 'virtio-net-pci,netdev=n0,romfile=,vectors=0',
  ];
}
