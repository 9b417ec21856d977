/** Device numbers that drivers built into the kernel hold; their devices are none of the lab's. */

/**
 * Character majors of Debian's kernel 6.1 on a PC without devices, in the order of /proc/devices. Those from 247 up were
 * handed out dynamically, so the next one is 246.
 */
export const CHAR_MAJORS: readonly (readonly [major: number, name: string])[] = [
  [4, '/dev/vc/0'], [4, 'tty'], [4, 'ttyS'], [5, '/dev/tty'], [5, '/dev/console'], [5, '/dev/ptmx'], [7, 'vcs'], [10, 'misc'], [13, 'input'],
  [29, 'fb'], [128, 'ptm'], [136, 'pts'], [153, 'spi'], [247, 'cxl'], [248, 'bsg'], [249, 'ptp'], [250, 'pps'], [251, 'rtc'], [252, 'dax'],
  [253, 'tpm'], [254, 'gpiochip'],
];

/** Its block majors. */
export const BLOCK_MAJORS: readonly (readonly [major: number, name: string])[] = [[259, 'blkext']];
