/** A process that speaks the generic netlink family `vdpa`, as iproute2's tool does. */
import {
  VDPA_ATTR_DEV_NAME, VDPA_ATTR_MGMTDEV_BUS_NAME, VDPA_ATTR_MGMTDEV_DEV_NAME, VDPA_CMD_DEV_DEL, VDPA_CMD_DEV_NEW, VDPA_GENL_NAME, type NlaBuilder,
} from '@vdpalab/uapi';
import { GenlTool, type ToolCalls } from '../netlink/genl-tool.ts';

/** A netlink socket of a process, bound to that family. */
export class VdpaTool<P> extends GenlTool<P> {
  /** @throws Error when there is no such family */
  static async open<P>(k: ToolCalls<P>, proc: P): Promise<VdpaTool<P>> {
    const tool = new VdpaTool(k, proc, await GenlTool.socket(k, proc));
    await tool.find(VDPA_GENL_NAME);
    return tool;
  }

  /** `vdpa dev add name NAME mgmtdev [BUS/]MGMTDEV`, and more. */
  async add(name: string, mgmtdev: string, more: (b: NlaBuilder) => void = () => undefined): Promise<string> {
    const [device = '', bus] = mgmtdev.split('/').reverse();
    return (await this.request(VDPA_CMD_DEV_NEW, (b) => {
      b.putString(VDPA_ATTR_DEV_NAME, name);
      if (bus !== undefined) b.putString(VDPA_ATTR_MGMTDEV_BUS_NAME, bus);
      b.putString(VDPA_ATTR_MGMTDEV_DEV_NAME, device);
      more(b);
    })).result;
  }

  /** `vdpa dev del NAME` */
  async del(name: string): Promise<string> {
    return (await this.request(VDPA_CMD_DEV_DEL, (b) => b.putString(VDPA_ATTR_DEV_NAME, name))).result;
  }
}
