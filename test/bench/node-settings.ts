/** Variables by which Node.js itself is told to behave otherwise: `NODE_OPTIONS`, `NODE_V8_COVERAGE`, `UV_THREADPOOL_SIZE`… */
const NODE_SETTING = /^(NODE|UV)_|^OPENSSL_CONF$/;

/**
 * Takes out of an environment what makes Node.js itself behave otherwise, so that figures do not depend on who measures:
 * NODE_EXTRA_CA_CERTS, for one, costs every program the reading of all certificates. Returns the names of what was there.
 */
export function removeNodeSettings(environment: NodeJS.ProcessEnv): readonly string[] {
  const names = Object.keys(environment).filter((name) => NODE_SETTING.test(name));
  for (const name of names) delete environment[name];
  return names.sort();
}
