import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { connect, createServer } from "node:tls";
import { describe, expect, it } from "vitest";
import { authorityId, chainExpiry, createAuthority, identityOf, isSignedBy, openAuthority } from "./authority.ts";
import { type TestCompanyOptions, testCompanyAuthority } from "./given-authority.fake.ts";
import { readGivenAuthority } from "./given-authority.ts";
import { instanceName } from "./identity.fake.ts";
import type { TlsIdentity } from "./tls-identity.ts";

const now = Date.now();
const DAY_MS = 86_400_000;
const read = (content: string) => readGivenAuthority(content, "acme.pem", "p", now);
const madeBy = async (content: string) => openAuthority("p", await createAuthority("p", read(content)));

/** Why `client`, who trusts `trusted`, and `server` do not speak to each other; undefined when they do. */
async function whyNot(server: TlsIdentity, client: TlsIdentity, trusted = client.ca): Promise<string | undefined> {
  const shown = ({ certificate, key }: TlsIdentity) => ({ cert: certificate, key });
  const options = { ...shown(server), ca: server.ca, requestCert: true, minVersion: "TLSv1.3" } as const;
  const listening = createServer(options, (socket) => socket.end("welcome"));
  listening.on("tlsClientError", () => undefined);
  listening.listen(0, "127.0.0.1");
  await once(listening, "listening");
  const { port } = listening.address() as AddressInfo;
  try {
    return await new Promise((resolve) => {
      const checkServerIdentity = (): undefined => undefined;
      const socket = connect({ port, host: "127.0.0.1", ca: trusted, ...shown(client), checkServerIdentity });
      socket.on("error", ({ message }) => resolve(message));
      socket.on("data", () => resolve(undefined));
      socket.on("close", () => resolve("closed"));
    });
  } finally {
    listening.close();
  }
}

describe("an authority that somebody has", () => {
  const root = testCompanyAuthority({ key: "rsa" });

  it.each<[string, TestCompanyOptions]>([
    ["an EC key", {}],
    ["an RSA key", { key: "rsa" }],
    ["room for one authority below it", { pathLength: 1 }],
    [
      "name constraints that permit ours",
      {
        permitted: [
          [6, "p"],
          [2, ""],
        ],
      },
    ],
  ])("with %s signs that of a pipeline: whoever trusts it trusts what runs there", async (_what, options) => {
    const company = testCompanyAuthority({ name: "Acme Streams", issuer: root, ...options });
    const authority = await madeBy(company.file);
    const [server, client] = await Promise.all(
      ["a", "b"].map(async (name) => identityOf(authority, await authority.issue(instanceName(name)))),
    );
    expect(await whyNot(server!, client!)).toBeUndefined();
    expect(await whyNot(server!, client!, Buffer.from(root.chain[0]!))).toBeUndefined();
    expect(isSignedBy(authority, read(company.file))).toBe(true);
    expect(isSignedBy(authority, read(root.file))).toBe(false);
  });

  it("signs those of several pipelines, which do not trust each other", async () => {
    const company = testCompanyAuthority({ name: "Acme Streams", issuer: root });
    const [one, other] = await Promise.all([madeBy(company.file), madeBy(company.file)]);
    expect(authorityId(one)).not.toBe(authorityId(other));
    const [server, client] = await Promise.all(
      [one, other].map(async (authority) => identityOf(authority, await authority.issue(instanceName("a")))),
    );
    expect(await whyNot(server!, client!)).toMatch(/unable to|self.signed/);
    // The client would believe; the server does not.
    expect(await whyNot(server!, client!, Buffer.from(root.chain[0]!))).toBeDefined();
  });

  it("may be in a file with the key first, the line ends of another system, and none at its end", async () => {
    const company = testCompanyAuthority({ name: "Acme Streams", issuer: root });
    const key = company.file.slice(company.chain.join("").length);
    const content = `${key}${company.chain.join("")}`.trimEnd().replaceAll("\n", "\r\n");
    expect(read(content).chain).toEqual(company.chain);
    const authority = await madeBy(content);
    const [server, client] = await Promise.all(
      ["a", "b"].map(async (name) => identityOf(authority, await authority.issue(instanceName(name)))),
    );
    expect(await whyNot(server!, client!, Buffer.from(root.chain[0]!))).toBeUndefined();
  });

  it("is not kept: what there is of the pipeline's authority has nothing of its key", async () => {
    const company = testCompanyAuthority();
    const kept = await createAuthority("p", read(company.file));
    expect(kept.key).not.toBe(company.key.export({ type: "pkcs8", format: "pem" }));
    expect(kept.certificate).not.toContain("PRIVATE");
  });

  it("says when it expires, by the first certificate that ends", async () => {
    const expires = new Date(Math.ceil(now / 1000) * 1000 + 10 * DAY_MS);
    const ending = testCompanyAuthority({ expires });
    const authority = await madeBy(testCompanyAuthority({ name: "Acme Streams", issuer: ending }).file);
    expect(chainExpiry(authority)).toBe(expires.getTime());
    expect(chainExpiry(openAuthority("p", await createAuthority("p")))).toBeUndefined();
  });

  const company = testCompanyAuthority({ name: "Acme Streams", issuer: root });
  const [certificate, above, key] = company.file.split(/(?<=-----END [A-Z ]+-----\n)/) as [string, string, string];
  it.each<[string, string, string, RegExp]>([
    ["without a certificate", key, "incomplete", /no certificate/],
    ["without a key", company.chain.join(""), "incomplete", /no private key/],
    [
      "with a key that is no key",
      `${certificate}${key.replace(/\n.{8}/, "\nAAAAAAAA")}`,
      "incomplete",
      /key cannot be read/,
    ],
    [
      "with a certificate that is none",
      `${certificate.replace(/\nM.{8}/, "\nMAAAAAAAA")}${key}`,
      "incomplete",
      /certificate 1/,
    ],
    ["with the key of another", `${certificate}${root.file.slice(above.length)}`, "key-mismatch", /first certificate/],
    ["with certificates in the wrong order", `${certificate}${certificate}${key}`, "broken-chain", /Acme Streams/],
    ["with an Ed25519 key", testCompanyAuthority({ key: "ed25519" }).file, "key-type", /ed25519/],
    ["with a short RSA key", testCompanyAuthority({ key: "small-rsa" }).file, "key-type", /1024 bits/],
    ["that is none", testCompanyAuthority({ isAuthority: false }).file, "not-an-authority", /Acme Root/],
    ["that has expired", testCompanyAuthority({ expires: new Date(now - DAY_MS) }).file, "not-valid", /expired/],
    ["that is not valid yet", testCompanyAuthority({ begins: new Date(now + DAY_MS) }).file, "not-valid", /valid from/],
    ["with no authority allowed below it", testCompanyAuthority({ pathLength: 0 }).file, "path-length", /allows 0/],
    [
      "with too few authorities allowed below its issuer",
      testCompanyAuthority({ name: "Acme Streams", issuer: testCompanyAuthority({ pathLength: 1 }) }).file,
      "path-length",
      /Acme Root allows 1 .* 2 are needed/,
    ],
    [
      "that permits what is below our URIs alone",
      testCompanyAuthority({ permitted: [[6, ".p"]] }).file,
      "name-constraints",
      /URI/,
    ],
    [
      "that permits other URIs alone",
      testCompanyAuthority({ permitted: [[6, ".acme.com"]] }).file,
      "name-constraints",
      /URI/,
    ],
    [
      "that permits other hosts alone",
      testCompanyAuthority({ permitted: [[2, "acme.com"]] }).file,
      "name-constraints",
      /host/,
    ],
    ["that excludes every URI", testCompanyAuthority({ excluded: [[6, ""]] }).file, "name-constraints", /URI/],
    [
      "that permits other subjects alone",
      testCompanyAuthority({ permitted: [[4, "Acme"]] }).file,
      "name-constraints",
      /subjects/,
    ],
  ])("%s is refused, with its place and a fix", (_what, content, code, message) => {
    expect(() => read(content)).toThrow(
      expect.objectContaining({
        code: `authority/${code}`,
        kind: "invalid",
        message: expect.stringMatching(message),
        fix: expect.stringMatching(/./),
      }),
    );
    expect(() => read(content)).toThrow(/^acme\.pem: /);
  });
});
