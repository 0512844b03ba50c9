import { describe, expect, test } from "vitest";
import { inheritedEnvironment } from "./inherited-environment.ts";

const caller = {
  PATH: "/usr/bin",
  HOME: "/home/ada",
  LC_TIME: "de_DE.UTF-8",
  https_proxy: "http://proxy:3128",
  NODE_EXTRA_CA_CERTS: "/etc/ca.pem",
  NODE_OPTIONS: "--require ./debugger.js",
  LD_PRELOAD: "/tmp/x.so",
  TERM: "xterm",
  AWS_SECRET_ACCESS_KEY: "hush",
  DB_PASSWORD: "hush",
  FLOWCTL_HOME: "/srv/flowctl",
  UNSET: undefined,
};

describe("what processes inherit", () => {
  test("is what every program needs, and nothing else", () => {
    expect(inheritedEnvironment(caller, { everything: false, withheld: [] })).toEqual({
      PATH: "/usr/bin",
      HOME: "/home/ada",
      LC_TIME: "de_DE.UTF-8",
      https_proxy: "http://proxy:3128",
      NODE_EXTRA_CA_CERTS: "/etc/ca.pem",
    });
  });

  test("is all of the caller's environment where the file asks for it, but flowctl's variables and those of secrets", () => {
    const { FLOWCTL_HOME: _home, DB_PASSWORD: _secret, UNSET: _unset, ...others } = caller;
    expect(inheritedEnvironment(caller, { everything: true, withheld: ["DB_PASSWORD"] })).toEqual(others);
  });

  test("is never the source of a secret, whatever its name", () => {
    const inherited = inheritedEnvironment(caller, { everything: false, withheld: ["https_proxy"] });
    expect(inherited).not.toHaveProperty("https_proxy");
  });
});
