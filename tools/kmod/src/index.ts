/** depmod, modprobe, insmod, rmmod, lsmod and modinfo as pure functions over a module tree. */
export {};
