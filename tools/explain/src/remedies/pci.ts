/** What would have switched virtual functions on. */
import type { Remedies } from './index.ts';
import { subject } from './near.ts';

const dir = (name: string): string => `/sys/bus/pci/devices/${name}`;

export const pciRemedies: Remedies = {
  'pci.numvfs.enabled': (error) => {
    const wanted = /, (\d+) were asked for/.exec(error.message)?.[1] ?? 'N';
    const file = `${dir(subject(error.message))}/sriov_numvfs`;
    return `echo 0 > ${file} ; echo ${wanted} > ${file}`;
  },
  'pci.numvfs.driver': (error, view) => {
    const name = subject(error.message);
    const hasStub = view.drivers('pci').includes('pci-pf-stub');
    return [
      ...(hasStub ? [] : ['modprobe pci_pf_stub']), `echo pci-pf-stub > ${dir(name)}/driver_override`, `echo ${name} > /sys/bus/pci/drivers_probe`,
    ].join(' ; ');
  },
  'pci.numvfs.callback': (error, view) => {
    const name = subject(error.message);
    const driver = view.devices('pci').find((d) => d.name === name)?.driver ?? null;
    return [
      ...(driver === null ? [] : [`echo ${name} > /sys/bus/pci/drivers/${driver}/unbind`]), 'modprobe pci_pf_stub',
      `echo pci-pf-stub > ${dir(name)}/driver_override`, `echo ${name} > /sys/bus/pci/drivers_probe`,
    ].join(' ; ');
  },
  'pci.numvfs.total': async (error, view) => {
    const name = subject(error.message);
    const total = await view.text(`${dir(name)}/sriov_totalvfs`);
    return total === null ? null : `echo ${total} > ${dir(name)}/sriov_numvfs, the most there are`;
  },
  'pci.probe.match': (error) => `echo DRIVER > ${dir(subject(error.message))}/driver_override`,
};
