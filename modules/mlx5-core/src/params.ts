/** Parameters of a function that its next load goes by. Mirrors `devlink.c` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import type { Devlink, DevlinkParam } from '@vdpalab/devlink';
import { DEVLINK_PARAM_CMODE_DRIVERINIT } from '@vdpalab/uapi';
import { ethSupported, vnetSupported } from './adev.ts';
import type { CoreDev } from './core-dev.ts';

const CMODES = 1 << DEVLINK_PARAM_CMODE_DRIVERINIT;

/** `mlx5_devlink_eq_depth_validate` */
async function validateDepth(_: Devlink, value: unknown): Promise<void> {
  if (typeof value !== 'number' || value < 64 || value > 4096) throw new KernelError('EINVAL', 'mlx5.param.eq-size', `${String(value)} entries of 64 to 4096`);
}

/** Parameters of a function, and what they start with. @see `mlx5_devlink_register` */
function paramsOf(dev: CoreDev): readonly (readonly [DevlinkParam, boolean | number])[] {
  const flag = (name: string): readonly [DevlinkParam, boolean] => [{ name, generic: true, type: 'bool', supported_cmodes: CMODES }, true];
  const depth = (name: string): readonly [DevlinkParam, number] => [
    { name, generic: true, type: 'u32', supported_cmodes: CMODES, validate: validateDepth }, dev.eqSize,
  ];
  return [
    depth('io_eq_size'), depth('event_eq_size'),
    ...(ethSupported(dev) ? [flag('enable_eth')] : []), flag('enable_rdma'), ...(vnetSupported(dev) ? [flag('enable_vnet')] : []),
  ];
}

/** Register parameters, and let reloads through. @returns takes them back */
export async function registerParams(dev: CoreDev): Promise<() => Promise<void>> {
  const { k, devlink } = dev;
  const params = paramsOf(dev);
  await k.devlink_params_register(devlink, params.map(([param]) => param));
  const unregister = (): Promise<void> => k.devlink_params_unregister(devlink, params.map(([param]) => param));
  try {
    for (const [{ name }, value] of params) await k.devlink_param_driverinit_value_set(devlink, name, value);
  } catch (error) {
    await unregister();
    throw error;
  }
  k.devlink_set_features(devlink, { reload: true });
  return unregister;
}
