/**
 * An event as a component receives it. Immutable; the payload is valid as long as the event is held. Holding either keeps
 * the message that it came in, up to two thousand events or 1 MiB: copy what you keep for long.
 */
export interface Event {
  /** Unique within the pipeline, the same on every replay. */
  readonly id: string;
  readonly type: string;
  /** The content. Do not change it: other events may share the memory. */
  readonly payload: Uint8Array;
  readonly metadata: Readonly<Record<string, string>>;
  /** When it happened; undefined when whoever made it did not say. */
  readonly timestamp: Date | undefined;
  /** The component that made it. */
  readonly sourceComponentId: string;
  /** Media type of the payload; may be empty. */
  readonly contentType: string;
  /** Component id of the neighbour that sent it: one of this component's inputs. */
  readonly upstream: string;
  /** Size of the whole event on the wire, in bytes. */
  readonly size: number;
  /** The payload parsed as JSON. Throws `sdk/payload-not-json`. Parsed anew at each call. */
  json(): unknown;
  /** The payload as UTF-8 text. */
  text(): string;
}

/** A new event. Give the content as `json`, or as `payload`, or not at all. */
export interface EventInit {
  readonly id?: string | undefined;
  readonly type?: string | undefined;
  /** Anything that JSON.stringify takes; content type `application/json`. */
  readonly json?: unknown;
  /** Bytes, or text that is encoded as UTF-8. */
  readonly payload?: Uint8Array | string | undefined;
  readonly contentType?: string | undefined;
  readonly metadata?: Readonly<Record<string, string>> | undefined;
  /** When it happened; null for an event that does not say. */
  readonly timestamp?: Date | null | undefined;
  /** Who made it, for a source that passes on the events of others; this component unless given. */
  readonly sourceComponentId?: string | undefined;
}
