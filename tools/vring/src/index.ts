/** Virtio rings, driver side and device side, pure. */
export {};
