/** States of a function behind a port, and what devlink says of them. Mirrors `sf/mlx5_ifc_vhca_event.h` and `sf/devlink.c` (Linux 6.1). */
import {
  DEVLINK_PORT_FN_OPSTATE_ATTACHED, DEVLINK_PORT_FN_OPSTATE_DETACHED, DEVLINK_PORT_FN_STATE_ACTIVE, DEVLINK_PORT_FN_STATE_INACTIVE,
  MLX5_VHCA_STATE_ACTIVE, MLX5_VHCA_STATE_ALLOCATED, MLX5_VHCA_STATE_IN_USE, MLX5_VHCA_STATE_TEARDOWN_REQUEST,
} from '@vdpalab/uapi';

/** `struct mlx5_vhca_state_event` */
export interface VhcaStateEvent {
  readonly functionId: number;
  /** The user's number. */
  readonly swFunctionId: number;
  /** MLX5_VHCA_STATE_* */
  readonly newVhcaState: number;
}

/** @returns DEVLINK_PORT_FN_STATE_* @see `mlx5_sf_to_devlink_state` */
export function toDevlinkState(hwState: number): number {
  return hwState === MLX5_VHCA_STATE_ACTIVE || hwState === MLX5_VHCA_STATE_IN_USE ? DEVLINK_PORT_FN_STATE_ACTIVE : DEVLINK_PORT_FN_STATE_INACTIVE;
}

/** @returns DEVLINK_PORT_FN_OPSTATE_* @see `mlx5_sf_to_devlink_opstate` */
export function toDevlinkOpstate(hwState: number): number {
  return hwState === MLX5_VHCA_STATE_IN_USE || hwState === MLX5_VHCA_STATE_TEARDOWN_REQUEST
    ? DEVLINK_PORT_FN_OPSTATE_ATTACHED : DEVLINK_PORT_FN_OPSTATE_DETACHED;
}

/** Whether an event takes a port from one state to the other: a driver came, went, or went because it was asked to. @see `mlx5_sf_state_update_check` */
export function followsEvent(from: number, to: number): boolean {
  return (from === MLX5_VHCA_STATE_ACTIVE && to === MLX5_VHCA_STATE_IN_USE)
    || (from === MLX5_VHCA_STATE_IN_USE && to === MLX5_VHCA_STATE_ACTIVE)
    || (from === MLX5_VHCA_STATE_TEARDOWN_REQUEST && to === MLX5_VHCA_STATE_ALLOCATED);
}
