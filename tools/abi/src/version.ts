/** Releases of Linux as numbers: what `linux/version.h` is. */

/** Releases whose behaviour a kernel can have, oldest first: the reference, and one with what came later. */
export const KERNEL_RELEASES = ['6.1', '6.12'] as const;

/** One of {@link KERNEL_RELEASES}. */
export type KernelRelease = (typeof KERNEL_RELEASES)[number];

/** A release as a number that grows with it. @param sublevel 255 at most */
export function KERNEL_VERSION(version: number, patchlevel: number, sublevel = 0): number {
  return (version << 16) | (patchlevel << 8) | sublevel;
}

/** `LINUX_VERSION_CODE` of a kernel with a release's behaviour. */
export function versionCodeOf(release: KernelRelease): number {
  const [version, patchlevel] = release.split('.').map(Number) as [number, number]; // they all have two parts
  return KERNEL_VERSION(version, patchlevel);
}
