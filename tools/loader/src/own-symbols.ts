/** What the loader itself exports: references, views, notifiers, and its two system calls. */
import { KernelError } from '@vdpalab/abi';
import type { ModuleSymbols } from '@vdpalab/abi';
import type { LoaderHost } from './host.ts';
import type { Loader } from './loader.ts';

/** The loader's symbols, bound to one kernel. */
export function ownSymbols(loader: Loader, host: LoaderHost): ModuleSymbols {
  return {
    try_module_get: (m) => loader.try_module_get(m),
    module_put: (m) => loader.module_put(m),
    __module_get: (m) => loader.__module_get(m),
    modules: () => loader.modules(),
    find_module: (name) => loader.find_module(name),
    register_module_notifier: (notify) => loader.register_module_notifier(notify),
    unregister_module_notifier: (notify) => loader.unregister_module_notifier(notify),
    tainted: () => loader.tainted(),
    add_taint: (bit) => loader.addTaint(bit),
    request_module: (name) => loader.request_module(name),
    delete_module: (name, flags) => loader.unload(name, flags),
    init_module: async ({ path, bytes }, args, flags) => {
      if (host.capable?.() === false) throw new KernelError('EPERM', 'module.capable', `${path}: CAP_SYS_MODULE is missing, or modules are disabled`);
      if (host.readImage === undefined) throw new KernelError('ENOENT', 'module.load.path', `${path}: this kernel has no module tree`);
      await loader.load(await host.readImage(path, bytes), args, flags);
    },
  };
}
