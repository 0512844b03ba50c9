import type { ServiceDefinition } from "@grpc/grpc-js";
import type { MessageType } from "./message-type.ts";

/** A method of a service. */
export interface Method<Request, Response> {
  /** `/<full name of the service>/<name of the method>`. */
  readonly path: string;
  readonly request: MessageType<Request>;
  readonly response: MessageType<Response>;
  /** What is a stream: nothing, the answers, or requests and answers. */
  readonly streams: "nothing" | "answers" | "both";
}

export function method<Request, Response>(
  path: string,
  request: MessageType<Request>,
  response: MessageType<Response>,
  streams: Method<Request, Response>["streams"] = "nothing",
): Method<Request, Response> {
  return { path, request, response, streams };
}

/** What a server needs to know of a service; it is implemented by its methods' names in the protocol file. */
export function definitionOf(methods: Readonly<Record<string, Method<object, object>>>): ServiceDefinition {
  return Object.fromEntries(
    Object.values(methods).map(({ path, request, response, streams }) => [
      path.slice(path.lastIndexOf("/") + 1),
      {
        path,
        requestStream: streams === "both",
        responseStream: streams !== "nothing",
        requestSerialize: request.encode,
        requestDeserialize: request.decode,
        responseSerialize: response.encode,
        responseDeserialize: response.decode,
      },
    ]),
  );
}
