/** A certificate and its key (PKCS #8), in PEM. */
export interface IssuedCertificate {
  readonly certificate: string;
  readonly key: string;
}
