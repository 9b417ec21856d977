/** What would have made, found or driven the vDPA device. */
import type { Remedies } from './index.ts';
import { listed, nearest } from './near.ts';

export const vdpaRemedies: Remedies = {
  'vdpa.netlink.device': (error, view) => {
    const names = view.devices('vdpa').map((d) => d.name);
    const asked = /^(\S+):/.exec(error.message)?.[1] ?? '';
    const meant = nearest(asked, names);
    if (meant !== null) return `take ${meant}`;
    const [manager] = view.managers();
    return names.length > 0 ? `take one of ${listed(names, '')}`
      : manager === undefined ? 'load a parent driver first: it brings a management device' : `vdpa dev add name ${asked} mgmtdev ${manager}`;
  },
  'vdpa.netlink.mgmtdev': (_error, view) => {
    const managers = view.managers();
    if (managers.length > 0) return `take one of ${listed(managers, '')}`;
    const parents = view.tree().filter((name) => /^(ifcvf|mlx5_vdpa|vp_vdpa|vdpa_sim_\w+|vduse)$/.test(name));
    return `load a parent driver first: modprobe ${listed(parents, 'one')}`;
  },
  'genl.request.family': (_error, view) => (view.modules().some((m) => m.name === 'vdpa') ? null : 'modprobe vdpa'),
  'genl.ctrl.family': (error, view) => {
    const asked = /by name "?(\w+)"?/.exec(error.message)?.[1] ?? '';
    return view.tree().includes(asked) && !view.modules().some((m) => m.name === asked) ? `modprobe ${asked}` : null;
  },
  'ifcvf.add.one': (error, view) => {
    const existing = /has (\S+) already$/.exec(error.message)?.[1] ?? 'NAME';
    const free = view.managers().filter((m) => m.startsWith('pci/') && !error.message.includes(m.slice('pci/'.length)));
    return `vdpa dev del ${existing}${free.length === 0 ? '' : `, or take ${listed(free, '')}`}`;
  },
  'vdpa.register.name': (error) => `vdpa dev del ${/^(\S+):/.exec(error.message)?.[1] ?? 'NAME'}, or take another name`,
  'vdpa.netlink.stats.status': (error, view) => {
    const name = /^(\S+):/.exec(error.message)?.[1] ?? 'NAME';
    const device = view.devices('vdpa').find((d) => d.name === name);
    return device?.driver === null ? `echo ${name} > /sys/bus/vdpa/drivers/${view.drivers('vdpa')[0] ?? 'virtio_vdpa'}/bind` : null;
  },
};
