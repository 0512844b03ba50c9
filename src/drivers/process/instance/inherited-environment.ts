/**
 * What processes of a pipeline inherit from the environment of whoever started it: everything, as from a shell, but
 * flowctl's own variables (they belong to the caller) and those that the file names as sources of secrets.
 */
export function inheritedEnvironment(
  environment: Readonly<Record<string, string | undefined>>,
  withheld: readonly string[],
): Record<string, string> {
  const result: Record<string, string> = {};
  for (const [name, value] of Object.entries(environment)) {
    if (value === undefined || name.startsWith("FLOWCTL_") || withheld.includes(name)) continue;
    result[name] = value;
  }
  return result;
}
