/** DPDK's virtio-user on a vhost-vdpa device of a lab: its ioctls come over the mount, its memory is its own. */
import { readFileSync } from 'node:fs';
import { hostAvailable } from '@vdpalab/libc';
import { afterAll, describe, expect, test } from 'vitest';
import { testpmdPresent } from '../support/testpmd.ts';
import { Host, needsEntry } from './cli.ts';
import { whyNoTrap } from './trapped.ts';

const host = new Host();
afterAll(() => host.close());

/** Frames go round: each is for the simulator's own address, so it comes back, and is sent on. */
const SCRIPT = `
modprobe -a vhost_vdpa vdpa_sim_net && vdpa dev add name vdpa0 mgmtdev vdpasim_net mac 52:54:00:00:00:51 || exit
cat /sys/devices/system/cpu/online
coproc pmd { exec stdbuf -oL dpdk-testpmd --no-huge --no-shconf --no-telemetry -m 256 --no-pci --lcores 0@0,1@0 --file-prefix vdpalab-$$ \
  --vdev net_virtio_user0,path=/dev/vhost-vdpa-0 -- --total-num-mbufs=8192 -i --forward-mode=io --eth-peer=0,52:54:00:00:00:51 2>&1; }
echo start tx_first >&\${pmd[1]}
for (( rx = 0; rx < 100; )); do
  echo show port stats 0 >&\${pmd[1]}
  until [[ $line == *Tx-pps* ]]; do
    read -r line <&\${pmd[0]} || { echo "$all"; exit 1; }
    [[ $line != *RX-packets:* ]] || rx=\${line#*RX-packets: } rx=\${rx%% *}
    all+=$line$'\\n'
  done
  line=
done
echo quit >&\${pmd[1]}
pid=$pmd_PID
cat <&\${pmd[0]} >/dev/null
wait $pid
echo "exit $?"
vdpa dev del vdpa0
`;

describe.runIf(testpmdPresent && hostAvailable() && whyNoTrap() === null)('testpmd on /dev/vhost-vdpa-0', () => {
  test('finds the machine\'s processors, sends and receives, and leaves nothing', { timeout: 120_000 }, async (context) => {
    needsEntry(context, 'stdbuf');
    const online = readFileSync('/sys/devices/system/cpu/online', 'utf8');
    expect(await host.bash(SCRIPT, { exec: ['--trap-only', 'devices'] })).toEqual({ stdout: `${online}exit 0\n`, stderr: '', status: 0 });
    await host.settled();
  });
});
