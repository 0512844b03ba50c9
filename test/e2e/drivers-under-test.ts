/** The drivers that this run of the tests covers. FLOWCTL_TEST_SKIP=docker leaves out Docker, and nothing else does. */
export function driversUnderTest(): readonly ("process" | "docker")[] {
  const skipped = (process.env.FLOWCTL_TEST_SKIP ?? "").split(",");
  return (["process", "docker"] as const).filter((driver) => !skipped.includes(driver));
}
