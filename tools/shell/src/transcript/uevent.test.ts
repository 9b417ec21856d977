import { expect, test } from 'vitest';
import { formatUevent } from './run.ts';

test('a uevent shows all its variables but those every one has', () => {
  const env = ['ACTION=add', 'DEVPATH=/devices/vdpa1/virtio0', 'SUBSYSTEM=virtio', 'MODALIAS=virtio:d00000001v00000000', 'SEQNUM=9'];
  expect(formatUevent({ action: 'add', devpath: '/devices/vdpa1/virtio0', env, seqnum: 9 }))
    .toBe('add@/devices/vdpa1/virtio0 SUBSYSTEM=virtio MODALIAS=virtio:d00000001v00000000');
});
