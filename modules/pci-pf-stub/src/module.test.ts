import { startModule } from '@vdpalab/testing';
import type { PciDriver } from '@vdpalab/pci';
import { describe, expect, it } from 'vitest';
import stub from './module.ts';

describe('pci_pf_stub', () => {
  it('registers a driver whose only skill is to switch virtual functions on and off', async () => {
    const registered: PciDriver[] = [];
    const simple = async () => 4;
    const running = await startModule(stub, {
      dev_info: () => undefined,
      __pci_register_driver: async (drv) => void registered.push(drv),
      pci_unregister_driver: async (drv) => void registered.splice(registered.indexOf(drv), 1),
      pci_sriov_configure_simple: simple,
    });
    expect(registered).toMatchObject([{ name: 'pci-pf-stub', sriov_configure: simple }]);
    await running.exit();
    expect(registered).toEqual([]);
  });

  it('names the one function it matches by itself', () => {
    expect(stub.alias).toEqual(['pci:v00001D0Fd00000053sv*sd*bc*sc*i*']);
  });
});
