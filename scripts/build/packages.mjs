// What of other people's code is in dist/ and is installed with it: its licences, and a bill of materials (SBOM).
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";

/** Folders, relative to `root`, of the packages whose code is in the bundles that esbuild's metafiles tell of; sorted. */
export function bundledPackages(metafiles) {
  const folders = new Set();
  for (const output of metafiles.flatMap((metafile) => Object.values(metafile.outputs))) {
    for (const [input, { bytesInOutput }] of Object.entries(output.inputs)) {
      const found = /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(input);
      if (found && bytesInOutput > 0) folders.add(found[1]);
    }
  }
  return [...folders].sort();
}

/** The licences of these packages, as their authors ask for. */
export async function notices(root, folders) {
  const parts = [];
  for (const folder of folders) {
    const manifest = await manifestOf(root, folder);
    const names = await readdir(join(root, folder));
    const licence = names.find((name) => /^(licen[cs]e|copying)/i.test(name));
    const text = licence
      ? (await readFile(join(root, folder, licence), "utf8")).trim()
      : `License: ${manifest.license}`;
    parts.push(`${manifest.name} ${manifest.version} (${manifest.license ?? "see below"})\n\n${text}\n`);
  }
  return `The bundles in this folder contain code of these packages.\n\n${[...new Set(parts)].join(`\n${"-".repeat(80)}\n\n`)}`;
}

/**
 * CycloneDX 1.6 (https://cyclonedx.org/docs/1.6/json/) of the package as it is installed: what is in the bundles, and what npm installs
 * beside them by the lock file. Without time and serial number: the same sources give the same text.
 */
export async function billOfMaterials(root, folders) {
  const { packages } = JSON.parse(await readFile(join(root, "package-lock.json"), "utf8"));
  const own = await manifestOf(root, "");
  const components = new Map();
  const add = (component) => components.set(component["bom-ref"], component);
  for (const folder of folders) add(componentOf(await manifestOf(root, folder), packages[folder]?.integrity));
  for (const [folder, { dev, version, license, integrity }] of Object.entries(packages)) {
    if (folder === "" || dev === true) continue;
    const name = folder.slice(folder.lastIndexOf("node_modules/") + "node_modules/".length);
    add(componentOf({ name, version, license }, integrity));
  }
  const sorted = [...components.keys()].sort().map((reference) => components.get(reference));
  return {
    bomFormat: "CycloneDX",
    specVersion: "1.6",
    version: 1,
    metadata: { component: { ...componentOf(own), type: "application" } },
    components: sorted,
  };
}

/** `integrity` as a lock file has it. */
function componentOf({ name, version, license }, integrity) {
  // As https://github.com/package-url/purl-spec writes names of npm: the "@" of a scope is encoded.
  const purl = `pkg:npm/${name.replace("@", "%40")}@${version}`;
  const [, algorithm, digest] = /^(sha512)-(\S+)$/.exec(integrity ?? "") ?? [];
  return {
    type: "library",
    "bom-ref": purl,
    name,
    version,
    purl,
    ...(typeof license === "string" ? { licenses: [{ expression: license }] } : {}),
    ...(digest && {
      hashes: [{ alg: algorithm.replace("sha", "SHA-"), content: Buffer.from(digest, "base64").toString("hex") }],
    }),
  };
}

async function manifestOf(root, folder) {
  return JSON.parse(await readFile(join(root, folder, "package.json"), "utf8"));
}
