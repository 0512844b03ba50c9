/** What can be chosen by flags, variables and the config file alike. */
export const DRIVERS = ["docker", "process", "kubernetes"] as const;
export const LOG_LEVELS = ["debug", "info", "warn", "error"] as const;
export const PROGRESS_MODES = ["auto", "tty", "plain", "json", "quiet"] as const;

export const METRICS_ACCESS = ["open", "token"] as const;

export type LogLevel = (typeof LOG_LEVELS)[number];
export type MetricsAccess = (typeof METRICS_ACCESS)[number];
export type ProgressMode = (typeof PROGRESS_MODES)[number];
