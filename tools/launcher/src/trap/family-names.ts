/** The kinds of calls that can be trapped. */
export const familyNames = ['netlink', 'modules', 'log', 'vfio', 'devices'] as const;

/** A kind of calls. */
export type FamilyName = (typeof familyNames)[number];

/** What `--trap` traps: not stat, which programs call by the thousand. */
export const usualFamilies: readonly FamilyName[] = familyNames.filter((name) => name !== 'devices');

export function isFamilyName(name: string): name is FamilyName {
  return (familyNames as readonly string[]).includes(name);
}
