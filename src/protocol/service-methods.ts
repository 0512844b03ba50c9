import type { MessageType } from "./message-type.ts";

/** A method of a service, as a client calls it. */
export interface Method<Request, Response> {
  /** `/<full name of the service>/<name of the method>`. */
  readonly path: string;
  readonly request: MessageType<Request>;
  readonly response: MessageType<Response>;
}

export function method<Request, Response>(
  path: string,
  request: MessageType<Request>,
  response: MessageType<Response>,
): Method<Request, Response> {
  return { path, request, response };
}
