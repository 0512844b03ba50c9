const domainPart = "(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])";
const domain = String.raw`(?:${domainPart}(?:\.${domainPart})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?`;
const pathPart = String.raw`[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*`;
const named = new RegExp(`^(?:${domain}/)?${pathPart}(?:/${pathPart})*$`);
const tagPattern = /^\w[\w.-]{0,127}$/;
const digestPattern = /^[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}$/;
const longestName = 255;

/**
 * What is wrong with the name of an image, by the grammar of references to images that registries and engines share;
 * undefined when nothing is. The form is `[host[:port]/]path[:tag][@digest]`.
 */
export function imageReferenceMistake(text: string): string | undefined {
  if (/\s/.test(text)) return "it contains a space";
  if (/^[a-z]+:\/\//i.test(text)) return "it is a URL";
  const [rest = "", digest, ...more] = text.split("@");
  if (more.length > 0) return "it has more than one `@`";
  if (digest !== undefined && !digestPattern.test(digest)) return `invalid digest \`${digest}\``;
  const colon = rest.indexOf(":", rest.lastIndexOf("/") + 1);
  const name = colon === -1 ? rest : rest.slice(0, colon);
  const tag = colon === -1 ? undefined : rest.slice(colon + 1);
  if (tag !== undefined && !tagPattern.test(tag)) return tag === "" ? "the tag is empty" : `invalid tag \`${tag}\``;
  if (named.test(name))
    return name.length > longestName ? `the name is longer than ${longestName} characters` : undefined;
  return named.test(name.toLowerCase()) ? "the name has uppercase letters" : `invalid name \`${name}\``;
}
