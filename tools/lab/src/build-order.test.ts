import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { buildOrder, isListed, usuallyOutside } from './build-order.ts';

it('puts the recorded kernel\'s modules in the order in which its depmod had them', () => {
  const recorded = readFileSync(new URL('../../kmod/testdata/linux-6.1.modules.dep', import.meta.url), 'utf8')
    .split('\n').filter((line) => /^kernel\/drivers\/(virtio|block|net|vfio|vhost)\/[^:]*:/.test(line)).map((line) => line.split(':')[0] as string);
  const listed = recorded.slice(0, recorded.indexOf('kernel/drivers/vhost/vringh.ko')); // what follows is in no modules.order
  const known = listed.filter((path) => !/virtio_(balloon|input|dma_buf)/.test(path));
  expect(known.length).toBeGreaterThan(10);
  expect(buildOrder([...known].sort())).toEqual(known);
});

it('leaves what it does not know behind', () => {
  expect(buildOrder(['extra/x.ko', 'kernel/virt/lib/irqbypass.ko', 'kernel/drivers/vdpa/vdpa.ko'])).toEqual([
    'kernel/drivers/vdpa/vdpa.ko', 'kernel/virt/lib/irqbypass.ko', 'extra/x.ko',
  ]);
});

it('takes what Debian leaves unset for built outside, on a release of Debian\'s', () => {
  expect(usuallyOutside('6.1.0-56-amd64')).toContain('vdpa');
  expect(usuallyOutside('6.1.0-vdpalab')).toEqual([]);
  expect(isListed(['vdpa-core', 'vhost-vdpa'], { name: 'vdpa', package: 'vdpa-core' })).toBe(true);
  expect(isListed(['vdpa-core', 'vhost-vdpa'], { name: 'vhost_vdpa', package: 'vhost-vdpa' })).toBe(true);
  expect(isListed(['vdpa'], { name: 'vhost', package: 'vhost' })).toBe(false);
});
