/** The kinds of calls that can be trapped. */
export const familyNames = ['netlink', 'modules', 'log', 'vfio'] as const;

/** A kind of calls. */
export type FamilyName = (typeof familyNames)[number];

export function isFamilyName(name: string): name is FamilyName {
  return (familyNames as readonly string[]).includes(name);
}
