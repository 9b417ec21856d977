import { expect, test } from 'vitest';
import { asWanted, formatUevent } from './run.ts';

test('a uevent shows all its variables but those every one has', () => {
  const env = ['ACTION=add', 'DEVPATH=/devices/vdpa1/virtio0', 'SUBSYSTEM=virtio', 'MODALIAS=virtio:d00000001v00000000', 'SEQNUM=9'];
  expect(formatUevent({ action: 'add', devpath: '/devices/vdpa1/virtio0', env, seqnum: 9 }))
    .toBe('add@/devices/vdpa1/virtio0 SUBSYSTEM=virtio MODALIAS=virtio:d00000001v00000000');
});

test('only variables that the transcript names are compared', () => {
  const got = ['add@/devices/a b SUBSYSTEM=x MAJOR=1 MINOR=2', 'bind@/b SUBSYSTEM=y DRIVER=d', 'add@/c SUBSYSTEM=z'];
  expect(asWanted(['add@/devices/a b SUBSYSTEM=x', 'bind@/b SUBSYSTEM=y DRIVER=e'], got))
    .toEqual(['add@/devices/a b SUBSYSTEM=x', 'bind@/b SUBSYSTEM=y DRIVER=d', 'add@/c SUBSYSTEM=z']);
  expect(asWanted(['add@/devices/... MINOR=2'], got.slice(0, 1))).toEqual(got.slice(0, 1));
});
