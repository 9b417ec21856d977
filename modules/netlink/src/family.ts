/** Families of generic netlink: numbers, names, groups. Mirrors the tables of `net/netlink/genetlink.c` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import { GENL_ID_CTRL, GENL_ID_PMCRAID, GENL_ID_VFS_DQUOT, GENL_MAX_ID, GENL_NAMSIZ, GENL_START_ALLOC } from '@vdpalab/uapi';
import type { GenlFamily } from './header.ts';

/** A family that is registered. */
export interface RegisteredFamily {
  readonly family: GenlFamily;
  readonly id: number;
  /** Number of its first multicast group; the others follow. */
  readonly firstGroup: number;
}

/** Groups nobody is given: two that never were, and those whose numbers are fixed. */
const RESERVED_GROUPS: readonly number[] = [0, 1, GENL_ID_CTRL, GENL_ID_VFS_DQUOT, GENL_ID_PMCRAID];

/** The families of one kernel. */
export class Families {
  readonly #byId = new Map<number, RegisteredFamily>();
  readonly #groups = new Set(RESERVED_GROUPS);
  #nextId = GENL_START_ALLOC;

  /** In the order of their numbers. */
  all(): RegisteredFamily[] {
    return [...this.#byId.values()].toSorted((a, b) => a.id - b.id);
  }

  byId(id: number): RegisteredFamily | null {
    return this.#byId.get(id) ?? null;
  }

  byName(name: string): RegisteredFamily | null {
    return this.all().find((f) => f.family.name === name) ?? null;
  }

  of(family: GenlFamily): RegisteredFamily | null {
    return this.all().find((f) => f.family === family) ?? null;
  }

  /**
   * Register a family; the controller's number is fixed, others go round.
   *
   * @throws EINVAL for a name too long or an op with nothing to do; EEXIST for a name that is taken; ENOSPC when no number is free
   */
  add(family: GenlFamily, isController = false): RegisteredFamily {
    const { name, ops, mcgrps = [] } = family;
    if (name.length === 0 || name.length >= GENL_NAMSIZ) throw new KernelError('EINVAL', 'genl.register.name', `family "${name}": 1 to ${GENL_NAMSIZ - 1} characters`);
    const bad = ops.find((op, i) => (op.doit === undefined && op.dumpit === undefined) || ops.findIndex((o) => o.cmd === op.cmd) !== i);
    if (bad !== undefined) throw new KernelError('EINVAL', 'genl.register.op', `family ${name}: command ${bad.cmd} does nothing, or is there twice`);
    if (this.byName(name) !== null) throw new KernelError('EEXIST', 'genl.register.taken', `family ${name}: registered already`);
    const registered: RegisteredFamily = {
      family,
      id: isController ? GENL_ID_CTRL : this.#freeId(),
      firstGroup: isController ? GENL_ID_CTRL : this.#freeGroups(mcgrps.length),
    };
    this.#byId.set(registered.id, registered);
    mcgrps.forEach((_, i) => this.#groups.add(registered.firstGroup + i));
    return registered;
  }

  /** Take a family away. @returns its groups, which are no more */
  remove({ id, family, firstGroup }: RegisteredFamily): number[] {
    this.#byId.delete(id);
    const groups = (family.mcgrps ?? []).map((_, i) => firstGroup + i);
    for (const group of groups) if (!RESERVED_GROUPS.includes(group)) this.#groups.delete(group);
    return groups;
  }

  /** Number of a family's group. @throws Error (a lab bug) when it has none of that name */
  group({ family, firstGroup }: RegisteredFamily, name: string): number {
    const at = (family.mcgrps ?? []).indexOf(name);
    if (at < 0) throw new Error(`family ${family.name}: no group ${name}`);
    return firstGroup + at;
  }

  /** `idr_alloc_cyclic`: the next one after the last given. */
  #freeId(): number {
    for (let tries = GENL_START_ALLOC; tries <= GENL_MAX_ID; tries++) {
      const id = this.#nextId;
      this.#nextId = id === GENL_MAX_ID ? GENL_START_ALLOC : id + 1;
      if (!this.#byId.has(id)) return id;
    }
    throw new KernelError('ENOSPC', 'genl.register.id', `all ${GENL_MAX_ID + 1 - GENL_START_ALLOC} family numbers are taken`);
  }

  /** The lowest run of that many free groups. */
  #freeGroups(count: number): number {
    let first = 0;
    for (let group = 0; group - first < count; group++) if (this.#groups.has(group)) first = group + 1;
    return first;
  }
}
