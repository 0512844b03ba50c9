import { X509Certificate } from "node:crypto";
import { beforeAll, describe, expect, it } from "vitest";
import { type Authority, createAuthority, type IssuedCertificate, openAuthority } from "./authority.ts";
import type { Name } from "./names.ts";
import { expiryOf, peerOfPem } from "./peer.ts";
import { newChain, serialOf } from "./serial.ts";

let files: IssuedCertificate;
let other: IssuedCertificate;
let authority: Authority;

beforeAll(async () => {
  [files, other] = await Promise.all([createAuthority("p"), createAuthority("p")]);
  authority = openAuthority("p", files);
});

const component: Name = { role: "component", pipeline: "p", component: "a", instance: "a-1" };

describe("an authority", () => {
  it("makes certificates that are valid by any clock, and by its own key alone", async () => {
    const certificate = new X509Certificate((await authority.issue(component)).certificate);
    const own = new X509Certificate(files.certificate);
    expect(certificate.verify(own.publicKey)).toBe(true);
    expect(certificate.checkIssued(own)).toBe(true);
    expect(certificate.verify(new X509Certificate(other.certificate).publicKey)).toBe(false);
    for (const { validFrom, validTo } of [certificate, own]) {
      expect(Date.parse(validFrom)).toBe(0);
      expect(new Date(validTo).getUTCFullYear()).toBe(9999);
    }
    expect([own.ca, certificate.ca]).toEqual([true, false]);
  });

  it("makes them expire when it is asked to", async () => {
    const expires = new Date("2031-05-06T07:08:09Z");
    const { certificate } = await authority.issue(component, { expires });
    expect(expiryOf(certificate)).toBe(expires.getTime());
  });

  it("puts into them whose they are, and how they came to be", async () => {
    const link = { ...newChain(), step: 3 };
    const { certificate } = await authority.issue(component, { serial: serialOf(link) });
    expect(peerOfPem(certificate)).toMatchObject({ name: component, link });
    expect(new X509Certificate(certificate).subjectAltName).toBe("URI:spiffe://p/component/a/a-1, DNS:a-1");
  });

  it.each([
    ["control-plane", ["1.3.6.1.5.5.7.3.1"]],
    ["component", ["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"]],
    ["joining", ["1.3.6.1.5.5.7.3.2"]],
    ["operator", ["1.3.6.1.5.5.7.3.2"]],
    ["reader", ["1.3.6.1.5.5.7.3.2"]],
  ] as const)("lets %s serve and dial as its role does, and nothing else", async (role, uses) => {
    const { certificate } = await authority.issue({ ...component, role } as Name);
    expect(new X509Certificate(certificate).keyUsage).toEqual(uses);
  });

  it("gives each certificate a key of its own", async () => {
    const issued = await Promise.all([authority.issue(component), authority.issue(component)]);
    expect(new Set([...issued.map(({ key }) => key), files.key]).size).toBe(3);
  });

  it("makes none for a name that could be mistaken", async () => {
    const name: Name = { ...component, instance: "a, URI:spiffe://p/operator" };
    await expect(authority.issue(name)).rejects.toMatchObject({ code: "identity/name" });
  });
});

describe("what was kept of an authority", () => {
  it.each([
    ["of another pipeline", () => openAuthority("q", files)],
    ["with the key of another one", () => openAuthority("p", { ...files, key: other.key })],
    ["that is no certificate", () => openAuthority("p", { ...files, certificate: "nonsense" })],
    ["without a key", () => openAuthority("p", { ...files, key: "" })],
  ])("is refused %s", (_, open) => {
    expect(open).toThrow(expect.objectContaining({ code: "identity/damaged" }));
  });

  it("is refused when it is a certificate that an authority has made", async () => {
    const issued = await authority.issue({ role: "operator", pipeline: "p" });
    expect(() => openAuthority("p", issued)).toThrow(expect.objectContaining({ code: "identity/damaged" }));
  });
});
