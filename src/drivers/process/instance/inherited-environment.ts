type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Variables of the caller's environment that every process of a pipeline inherits. They say who and where one is, how to
 * speak, and how to reach the network, which programs take for granted; none of them is made to carry a secret. What is
 * left out on purpose: `NODE_OPTIONS`, `PYTHONPATH`, `LD_*`, which change what programs run; `TERM` and the like, since
 * the output is a file; credentials and everything else.
 */
const INHERITED: readonly string[] = [
  "PATH",
  "HOME",
  "USER",
  "LOGNAME",
  "SHELL",
  // Where tools keep caches and settings when it is not under HOME.
  "XDG_CACHE_HOME",
  "XDG_CONFIG_HOME",
  "XDG_DATA_HOME",
  "XDG_STATE_HOME",
  "XDG_RUNTIME_DIR",
  "LANG",
  "LANGUAGE",
  "TZ",
  "TMPDIR",
  "TMP",
  "TEMP",
  // These belong to the PATH of an activated environment; tools such as uv and conda look for them.
  "VIRTUAL_ENV",
  "CONDA_PREFIX",
  "HTTP_PROXY",
  "HTTPS_PROXY",
  "ALL_PROXY",
  "NO_PROXY",
  "http_proxy",
  "https_proxy",
  "all_proxy",
  "no_proxy",
  "NODE_USE_ENV_PROXY",
  "SSL_CERT_FILE",
  "SSL_CERT_DIR",
  "NODE_EXTRA_CA_CERTS",
  "NODE_USE_SYSTEM_CA",
  "REQUESTS_CA_BUNDLE",
  "CURL_CA_BUNDLE",
];

/**
 * What of the environment of whoever started a pipeline its processes may have: with `everything` all of it, else what
 * is INHERITED and `LC_*`. Never flowctl's own variables, which belong to the caller, nor the `withheld`, which the file
 * names as sources of secrets.
 */
export function inheritedEnvironment(
  environment: Environment,
  { everything, withheld }: { readonly everything: boolean; readonly withheld: readonly string[] },
): Record<string, string> {
  const result: Record<string, string> = {};
  for (const [name, value] of Object.entries(environment)) {
    if (value === undefined || name.startsWith("FLOWCTL_") || withheld.includes(name)) continue;
    if (everything || name.startsWith("LC_") || INHERITED.includes(name)) result[name] = value;
  }
  return result;
}
