/** Text as users write it into sysfs files. */

/**
 * Whether two strings are equal but for one newline at the end of either.
 *
 * @see lib/string_helpers.c sysfs_streq (Linux 6.1)
 */
export function sysfs_streq(a: string, b: string): boolean {
  return chomp(a) === chomp(b);
}

/** Without one newline at the end; what follows a NUL does not count, as in C. */
export function chomp(text: string): string {
  const nul = text.indexOf('\0');
  const cut = nul < 0 ? text : text.slice(0, nul);
  return cut.endsWith('\n') ? cut.slice(0, -1) : cut;
}
