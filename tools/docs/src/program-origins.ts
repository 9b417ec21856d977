/** What each program of a lab is modelled on. */

/** Programs with one origin. */
export interface ProgramOrigin {
  readonly as: string;
  readonly programs: readonly string[];
}

const words = (text: string): readonly string[] => text.trim().split(/\s+/);

/** Every program, in the order of the page. */
export const origins: readonly ProgramOrigin[] = [
  { as: 'kmod 30', programs: words('insmod rmmod lsmod modprobe modinfo depmod kmod') },
  { as: 'iproute2 6.1', programs: words('vdpa devlink ip') },
  { as: 'ethtool 6.1: queue pairs alone', programs: words('ethtool') },
  { as: 'pciutils', programs: words('lspci') },
  { as: 'util-linux', programs: words('dmesg hexdump hd mount setsid setpriv') },
  { as: 'bash 5.2', programs: words('bash') },
  { as: 'dash 0.5.12, as Debian has it', programs: words('sh dash') },
  {
    as: 'coreutils 9.1',
    programs: words(`ls cat head tail wc tee paste nl tac sort uniq cut tr od stat readlink realpath basename dirname mkdir mknod rmdir rm cp mv ln
      unlink touch chmod chown chgrp dd nohup nice expr md5sum sha1sum sha256sum sha512sum cksum base64 truncate fold expand comm mktemp uname id whoami sleep date env printenv seq timeout sync true false nproc echo printf yes`),
  },
  { as: 'grep, sed, findutils, diffutils, debianutils, ncurses, bsdmainutils, hostname', programs: words('grep egrep fgrep sed find xargs cmp diff which clear rev hostname') },
  { as: 'procps 4.0', programs: words('kill ps pgrep pidof') },
  { as: 'busybox, shadow', programs: words('busybox su') },
  { as: 'tcpdump, tcpreplay: reduced to sending and taking captures', programs: words('tcpreplay tcpdump') },
  { as: "the lab's own: what modprobe would do, and why each step is there", programs: words('modplan') },
  { as: "the lab's own: why the last command was refused, and what would have worked", programs: words('explain') },
  { as: "the lab's own: make a module's acquisitions fail on purpose", programs: words('fail') },
  { as: "the lab's own: a virtio network driver in a process, over vhost-vdpa, or over VFIO and vhost-mdev", programs: words('vhost-net') },
  { as: "the lab's own, after DPDK's vdpa example: devices behind vhost-user sockets", programs: words('vhost-user') },
  { as: "the lab's own: a disk that a process serves, over VDUSE", programs: words('vduse-blk') },
  { as: "the lab's own: what a user of VFIO devices does, command by command", programs: words('vfio-dev') },
  { as: "the lab's own: whether two captures hold the same frames, bit for bit", programs: words('pcapcmp') },
  { as: "the lab's own twin of the program the recordings ran on a vhost-vdpa device", programs: words('vhosttest') },
  { as: "the lab's own twin of the program that makes a script's system calls for the recordings", programs: words('calls') },
];
