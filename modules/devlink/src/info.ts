/** What an instance says of its device: names and versions. Mirrors `devlink_info_*_put` of `net/core/devlink.c` (Linux 6.1). */
import type { Atomic } from '@vdpalab/abi';
import type { NlMessageBuilder } from '@vdpalab/netlink';
import * as uapi from '@vdpalab/uapi';
import type { Devlink, DevlinkInfoReq, DevlinkSymbols } from './header.ts';
import { nest } from './messages.ts';

/** `struct devlink_info_req` */
export class InfoReq implements DevlinkInfoReq {
  readonly devlink: Devlink;
  readonly #entries: ((msg: NlMessageBuilder) => void)[] = [];

  constructor(devlink: Devlink) {
    this.devlink = devlink;
  }

  putString(attr: number, value: string): Atomic {
    this.#entries.push((msg) => void msg.putString(attr, value));
  }

  /** @param attr DEVLINK_ATTR_INFO_VERSION_FIXED, _RUNNING or _STORED */
  putVersion(attr: number, name: string, value: string): Atomic {
    this.#entries.push((msg) => nest(msg, attr, () => {
      msg.putString(uapi.DEVLINK_ATTR_INFO_VERSION_NAME, name);
      msg.putString(uapi.DEVLINK_ATTR_INFO_VERSION_VALUE, value);
    }));
  }

  fill(msg: NlMessageBuilder): Atomic {
    for (const entry of this.#entries) entry(msg);
  }
}

function own(req: DevlinkInfoReq): InfoReq {
  if (!(req instanceof InfoReq)) throw new Error(`${req.devlink.dev.name}: no request for information`);
  return req;
}

/** The symbols an `info_get` calls. */
export const infoSymbols: Pick<DevlinkSymbols, 'devlink_info_driver_name_put' | 'devlink_info_serial_number_put' | 'devlink_info_board_serial_number_put'
| 'devlink_info_version_fixed_put' | 'devlink_info_version_stored_put' | 'devlink_info_version_running_put'> = {
  devlink_info_driver_name_put: (req, name) => own(req).putString(uapi.DEVLINK_ATTR_INFO_DRIVER_NAME, name),
  devlink_info_serial_number_put: (req, sn) => own(req).putString(uapi.DEVLINK_ATTR_INFO_SERIAL_NUMBER, sn),
  devlink_info_board_serial_number_put: (req, bsn) => own(req).putString(uapi.DEVLINK_ATTR_INFO_BOARD_SERIAL_NUMBER, bsn),
  devlink_info_version_fixed_put: (req, name, value) => own(req).putVersion(uapi.DEVLINK_ATTR_INFO_VERSION_FIXED, name, value),
  devlink_info_version_stored_put: (req, name, value) => own(req).putVersion(uapi.DEVLINK_ATTR_INFO_VERSION_STORED, name, value),
  devlink_info_version_running_put: (req, name, value) => own(req).putVersion(uapi.DEVLINK_ATTR_INFO_VERSION_RUNNING, name, value),
};
