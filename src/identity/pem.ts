import type { IssuedCertificate } from "./issued-certificate.ts";

const BLOCK = /-----BEGIN ([A-Z ]+)-----[\s\S]+?-----END \1-----\n?/g;

/** The certificates and the key that a text in PEM has, in whatever order; each empty where it has none. */
export function splitPem(text: string): IssuedCertificate {
  let certificate = "";
  let key = "";
  for (const [block, label = ""] of text.matchAll(BLOCK)) {
    if (label === "CERTIFICATE") certificate += block;
    else if (label.endsWith("PRIVATE KEY")) key += block;
  }
  return { certificate, key };
}

/** Both in one text: a file of it is replaced as a whole. */
export function joinPem({ certificate, key }: IssuedCertificate): string {
  return [certificate, key].map((part) => (part.endsWith("\n") ? part : `${part}\n`)).join("");
}

/** The certificates of a text in PEM, each by itself. */
export function certificatesOf(text: string): readonly string[] {
  return [...text.matchAll(BLOCK)].filter(([, label]) => label === "CERTIFICATE").map(([block]) => block);
}
