/**
 * The name that people know a progress event's subject by: `feed-1` of `component/feed-1`, `control plane`. Undefined for
 * what they never asked for by itself: networks, volumes and the engine access come and go with the pipeline.
 */
export function nameOfSubject(subject: string): string | undefined {
  const slash = subject.indexOf("/");
  const rest = subject.slice(slash + 1);
  switch (subject.slice(0, slash)) {
    case "component":
    case "service":
      return rest;
    case "control-plane":
      return "control plane";
    case "network":
    case "volume":
    case "engine-access":
      return undefined;
    case "image":
      return `image ${rest}`;
    default:
      return subject;
  }
}
