import { rmSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runWell } from "../../e2e/run-program.ts";
import { atExit } from "../at-exit.ts";

/**
 * Makes an authority and one certificate of it for 127.0.0.1, valid for a day: `ca.pem`, `certificate.pem` and `key.pem` in
 * a folder of their own. Needs `openssl`. Dispose of it when nobody reads them any more.
 */
export async function makeCertificates(): Promise<{ readonly folder: string; dispose(): Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), "flowctl-bench-certificates-"));
  const forget = atExit(() => rmSync(folder, { recursive: true, force: true }));
  const make = async (...args: readonly string[]): Promise<void> => {
    const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    await runWell("openssl", ["req", "-x509", "-days", "1", ...key, ...args], { cwd: folder });
  };
  await make("-subj", "/CN=authority", "-keyout", "ca-key.pem", "-out", "ca.pem");
  await make(
    ...["-subj", "/CN=component", "-keyout", "key.pem", "-out", "certificate.pem"],
    ...["-CA", "ca.pem", "-CAkey", "ca-key.pem", "-addext", "subjectAltName=IP:127.0.0.1"],
    ...["-addext", "basicConstraints=critical,CA:FALSE"],
  );
  const dispose = async (): Promise<void> => {
    await rm(folder, { recursive: true, force: true });
    forget();
  };
  return { folder, dispose };
}
