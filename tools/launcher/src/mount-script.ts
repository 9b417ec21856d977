/** What a lab's keeper mounts. */
import { HOST_DIR } from './host-names.ts';
import type { LabPaths } from './runtime-dir.ts';

const quoted = (word: string): string => `'${word.replaceAll("'", "'\\''")}'`;

/** Directories that are the lab's alone. */
const LABS_DIRECTORIES: readonly string[] = ['/sys', '/lib/modules', '/etc/modprobe.d', '/lib/modprobe.d'];

/**
 * The script, for the keeper's bash: the lab's file system on `mnt`, then its directories over the host's.
 *
 * A directory the host has not is made by an overlay, read-only, of the nearest one it has.
 *
 * @param shared directories that are both, the last of them last
 * @param before lines that mount something in the lab's file system, `$mnt`
 * @param after lines that mount something over the host's
 */
export function mountScript(paths: LabPaths, shared: readonly string[], { before, after }: { readonly before: string; readonly after: string }): string {
  return `
set -e
dir=${quoted(paths.dir)} mnt=${quoted(paths.mount)}
mount -i -n -t fuse -o fd=3,rootmode=40000,user_id=0,group_id=0,allow_other,nosuid,nodev vdpalab "$mnt"
echo mounted
count=0
point() {
  parent=$1 rest=
  while [ ! -d "$parent/" ]; do rest=/\${parent##*/}$rest parent=\${parent%/*}; done
  [ -n "$rest" ] || return 0
  count=$((count + 1))
  [ $count -gt 1 ] || mount -n -t tmpfs -o mode=755 vdpalab "$dir/points"
  mkdir -p "$dir/points/$count$rest"
  mount -n -t overlay -o "lowerdir=$dir/points/$count:\${parent:-/}" vdpalab "\${parent:-/}"
}
${before}${LABS_DIRECTORIES.map((path) => `point ${path}; mount -n --rbind "$mnt${path}" ${path}`).join('\n')}
${after}${shared.map((path) => `mount -n --rbind ${path} "$mnt${path}/${HOST_DIR}"; mount -n --rbind "$mnt${path}" ${path}`).join('\n')}
set +e
`;
}
