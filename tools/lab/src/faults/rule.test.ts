import { describe, expect, test } from 'vitest';
import { LabFileError, parseLabFile } from '../config.ts';
import { acquisitionOf } from './acquire.ts';
import { matches, parseFaultRule } from './rule.ts';

describe('a rule of injection', () => {
  test('names module, what, which one and the errno', () => {
    expect(parseFaultRule('ifcvf:probe:3=ENOMEM')).toMatchObject({ module: 'ifcvf', during: null, what: 'probe', nth: 3, errno: 'ENOMEM', times: 1, interval: 0, probability: 100 });
    expect(parseFaultRule('vdpa:alloc:2')).toMatchObject({ module: 'vdpa', what: 'alloc', nth: 2, errno: null });
    expect(parseFaultRule('vhost-vdpa:open/alloc')).toMatchObject({ module: 'vhost_vdpa', during: 'open', what: 'alloc', nth: 1 });
    expect(parseFaultRule('ifcvf:set_vq_state()')).toMatchObject({ what: 'set_vq_state()' });
    expect(parseFaultRule('*:pci_*')).toMatchObject({ module: '*', what: 'pci_*' });
  });

  test('repeats with interval, times and probability, as Linux names them', () => {
    expect(parseFaultRule('m:alloc,interval=2')).toMatchObject({ interval: 2, times: -1 });
    expect(parseFaultRule('m:alloc:4=EIO,interval=2,times=3')).toMatchObject({ nth: 4, interval: 2, times: 3, errno: 'EIO' });
    expect(parseFaultRule('m:alloc,probability=10')).toMatchObject({ interval: 1, probability: 10, times: -1 });
  });

  test.each([
    ['ifcvf', 'not a rule'], ['', 'not a rule'], ['ifcvf:probe:x', 'not a rule'], ['a:b:0', 'N counts from 1'], ['a:b=ENOSUCH', 'ENOSUCH is no errno'],
    ['a:b,often=3', 'often is none of interval, times, probability'], ['a:b,probability=101', 'probability is from 0 to 100'], ['a:b,interval=0', 'interval is from 1 to'],
  ])('%j is refused: %s', (text, why) => {
    expect(() => parseFaultRule(text)).toThrow(why);
  });

  test('in a lab file is refused with file, line and column', () => {
    const file = 'fail:\n  - ifcvf:probe:3=ENOMEM\n  - ifcvf:probe:0\n';
    expect(() => parseLabFile(file, 'lab.yaml')).toThrow(LabFileError);
    expect(() => parseLabFile(file, 'lab.yaml')).toThrow("lab.yaml:3:5: fail[1]: 'ifcvf:probe:0': N counts from 1");
    expect(parseLabFile('fail: []\n', 'lab.yaml').fail).toEqual([]);
    expect(parseLabFile('name: x\n', 'lab.yaml').fail).toBeUndefined();
  });
});

test('a pattern matches the whole name, * standing for anything', () => {
  expect(matches('pci_*', 'pci_alloc_irq_vectors')).toBe(true);
  expect(matches('pci_*', 'pcim_enable_device')).toBe(false);
  expect(matches('alloc', 'alloc_pages')).toBe(false);
});

describe('what a symbol acquires is told by its name', () => {
  test.each([
    ['dma_alloc_coherent', 'alloc'], ['alloc_pages', 'alloc'], ['__vdpa_alloc_device', 'alloc'], ['kernfs_create_dir', 'create'], ['vring_create_virtqueue', 'create'],
    ['_vdpa_register_device', 'register'], ['__pci_register_driver', 'register'], ['misc_register', 'register'], ['dma_map_single', 'map'], ['pin_user_pages', 'map'],
    ['request_irq', 'request'], ['iommu_attach_device', 'attach'], ['device_add', 'add'], ['pcim_enable_device', 'enable'], ['try_module_get', 'get'], ['eventfd_ctx_fdget', 'get'],
  ])('%s: %s', (symbol, kind) => {
    expect(acquisitionOf(symbol)).toBe(kind);
  });

  test.each(['vdpa_unregister_driver', 'free_irq', 'dma_unmap_single', 'kernfs_remove', 'cdev_device_del', 'nr_free_pages', 'vhost_iotlb_map_free', 'mutex_lock', 'init_completion', 'netif_napi_add', 'pci_get_drvdata'])('%s: nothing', (symbol) => {
    expect(acquisitionOf(symbol)).toBe(null);
  });
});
