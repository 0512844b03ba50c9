import packageJson from "../../package.json" with { type: "json" };

/** The version that built-ins register with: flowctl's own. */
export const builtInVersion: string = packageJson.version;
