/** What a guest boots: Debian's kernel, and an initramfs of busybox and virtio's drivers. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cpioArchive, type CpioEntry } from './cpio.ts';

const ROOT = fileURLToPath(new URL('../../../../', import.meta.url));
/** Where `.ci/guest-kernel` puts the kernel and its modules. */
const KERNEL = join(ROOT, 'out/guest');
const INIT = join(ROOT, 'test/data/guest/init');
const BUSYBOX = '/bin/busybox';
const QEMU = 'qemu-system-x86_64';

/** In the order that insmod needs. */
const MODULES = [
  'virtio_ring', 'virtio', 'virtio_pci_legacy_dev', 'virtio_pci_modern_dev', 'virtio_pci', 'failover', 'net_failover', 'virtio_net',
] as const;

/** For guests that want VLANs: not loaded by init. In the order that insmod needs. */
export const VLAN_MODULES = ['llc', 'stp', 'garp', 'mrp', '8021q'] as const;

/** Whether it is an error when something is missing. */
export const required = process.env['VDPALAB_REQUIRE_REAL'] === '1';

/** What is missing to boot a guest; `null` when nothing is. */
export function missing(): string | null {
  if (spawnSync(QEMU, ['--version']).status !== 0) return `${QEMU} (Debian's qemu-system-x86)`;
  const { stdout, stderr } = spawnSync('ldd', [BUSYBOX], { encoding: 'utf8', env: { ...process.env, LC_ALL: 'C' } });
  if (!`${stdout}${stderr}`.includes('not a dynamic executable')) return `${BUSYBOX} without shared libraries (busybox-static)`;
  if (!existsSync(join(KERNEL, 'vmlinux'))) return 'a kernel for guests (run .ci/guest-kernel)';
  return null;
}

/** An archive of busybox, virtio's drivers, and an init that loads them. */
export function initramfs(): Uint8Array {
  return cpioArchive([
    ...['bin', 'dev', 'proc', 'sys', 'tmp', 'modules'].map((path): CpioEntry => ({ path, mode: 0o40755 })),
    { path: 'dev/console', mode: 0o20600, device: [5, 1] },
    { path: 'init', mode: 0o100755, data: readFileSync(INIT) },
    { path: 'bin/busybox', mode: 0o100755, data: readFileSync(BUSYBOX) },
    { path: 'modules/order', mode: 0o100644, data: Buffer.from(`${MODULES.join('\n')}\n`) },
    ...[...MODULES, ...VLAN_MODULES].map((name): CpioEntry => ({ path: `modules/${name}.ko`, mode: 0o100644, data: readFileSync(join(KERNEL, `modules/${name}.ko`)) })),
  ]);
}

/** Files to boot, in a folder of their own. */
export class GuestImage {
  readonly kernel = join(KERNEL, 'vmlinux');
  readonly initramfs: string;
  /** `uname -r` in the guest. */
  readonly release = readFileSync(join(KERNEL, 'release'), 'utf8').trim();
  readonly #folder = mkdtempSync(join(tmpdir(), 'guest-'));

  constructor() {
    this.initramfs = join(this.#folder, 'initramfs');
    writeFileSync(this.initramfs, initramfs());
  }

  /** Remove the files. */
  close(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
