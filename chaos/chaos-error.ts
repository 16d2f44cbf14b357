// What a campaign found to be wrong, and where.

export class ChaosError extends Error {
  constructor(where: string, differences: readonly string[]) {
    super(`${where}:\n${differences.map((line) => `  ${line}`).join("\n")}`);
  }
}
