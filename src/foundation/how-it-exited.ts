/** How a program ended, for people; its code is negative where nobody saw one. */
export function howItExited(exitCode: number): string {
  return exitCode < 0 ? "was killed" : `exited with code ${exitCode}`;
}
