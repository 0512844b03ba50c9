/** The protocol's messages as proto-loader gives and takes them with the options of `loadProtocol`. */

export interface EventMessage {
  id: string;
  type: string;
  payload: Uint8Array;
  metadata: Record<string, string>;
  timestamp: { seconds: number; nanos: number } | null;
  sourceComponentId: string;
  contentType: string;
}

export interface CreditMessage {
  maxSequence: number;
  maxBytes: number;
}

export interface OpenMessage {
  pipeline: string;
  group: string;
  instanceId: string;
  types: string[];
  credit: CreditMessage | null;
  upstreamInstanceId: string;
}

export interface SubscribeRequest {
  open?: OpenMessage;
  ack?: { sequence: number };
  nack?: { sequence: number; reason: string };
  credit?: CreditMessage;
}

export interface SubscribeResponse {
  opened?: { componentId: string; instanceId: string };
  batch?: { firstSequence: number; events: EventMessage[] };
  end?: { lastSequence: number; drained?: boolean };
}

/** A response together with the sizes of its encoded events and of itself. */
export interface ReceivedResponse {
  readonly message: SubscribeResponse;
  readonly eventSizes: readonly number[];
  readonly size: number;
}

export interface IdentityMessage {
  pipeline: string;
  componentId: string;
  instanceId: string;
  incarnation: string;
}

export interface RegisterMessage extends IdentityMessage {
  type: string;
  address: string;
  healthEndpoint: string;
  metadata: Record<string, string>;
  consumes: string[];
  produces: string[];
  features: string[];
  partitions: { id: string; identity: string }[];
}

export interface MetricsMessage {
  eventsIn: number;
  eventsOut: number;
  bytesIn: number;
  bytesOut: number;
  eventsDropped: number;
  eventsFiltered: number;
  eventsFailed: number;
  inFlight: number;
  deadLetters: number;
  retries: number;
}

export interface HeartbeatMessage extends IdentityMessage {
  metrics: MetricsMessage | null;
  degradedReason: string;
  drainedGroups: string[];
  settledMarks: Record<string, number>;
  heardMark: number;
}

export interface DeregisterMessage extends IdentityMessage {
  reason: string;
  message: string;
  metrics: MetricsMessage | null;
}

export interface CheckpointMessage extends IdentityMessage {
  position: Buffer;
  partition: string;
  identity: string;
  state: string;
}

export interface AssignmentMessage {
  partition: string;
  identity: string;
  position?: Uint8Array;
  epoch: number;
}

export interface TopologyMessage {
  upstreams: UpstreamMessage[];
  downstreams: DownstreamMessage[];
  assignments?: AssignmentMessage[];
  partitionsFinished?: boolean;
  leaving?: boolean;
  onError?: OnErrorMessage;
}

export interface OnErrorMessage {
  action: "ACTION_RETRY" | "ACTION_DROP" | "ACTION_DEAD_LETTER";
  to?: string;
  retries: number;
  backoff?: { seconds: number; nanos: number };
}

export interface BufferMessage {
  type: "TYPE_MEMORY" | "TYPE_DISK";
  maxEvents: number;
  whenFull: "WHEN_FULL_BLOCK" | "WHEN_FULL_DROP_NEWEST" | "WHEN_FULL_DROP_OLDEST";
}

export interface UpstreamMessage {
  componentId: string;
  types: string[];
  instances: { instanceId: string; address: string; completed: boolean }[];
  completed: boolean;
  desiredInstances: number;
  draining?: boolean;
}

export interface DownstreamMessage {
  componentId: string;
  types: string[];
  partitionBy: string;
  desiredInstances: number;
  deadLetters: boolean;
  buffer?: BufferMessage;
  draining?: boolean;
  takesOver?: string[];
  mark?: number;
}
