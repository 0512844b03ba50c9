import type { ChannelOptions } from "@grpc/grpc-js";

/** Largest message that either side takes or sends, in bytes: an event of 16 MiB and what is around it. */
export const maxMessageBytes = 20 * 1024 * 1024;

/**
 * How every flowctl client keeps its connections. A peer that comes back with another address is found within a
 * second (the default takes up to half a minute), and a peer that vanished without closing is noticed within 15 s.
 */
export function clientChannelOptions(): ChannelOptions {
  return {
    "grpc.dns_min_time_between_resolutions_ms": 500,
    "grpc.initial_reconnect_backoff_ms": 200,
    "grpc.max_reconnect_backoff_ms": 1000,
    "grpc.keepalive_time_ms": 10_000,
    "grpc.keepalive_timeout_ms": 5_000,
    "grpc.keepalive_permit_without_calls": 1,
    "grpc.max_receive_message_length": maxMessageBytes,
    "grpc.max_send_message_length": maxMessageBytes,
    // A pipeline's addresses are its own network's; a proxy of the host has no business there.
    "grpc.enable_http_proxy": 0,
    // Half-sent requests are not repeated behind the caller's back; whoever calls decides.
    "grpc.enable_retries": 0,
    "grpc.service_config_disable_resolution": 1,
    "grpc.enable_channelz": 0,
  };
}

/** The other side of the same rules, for every flowctl server. */
export function serverChannelOptions(): ChannelOptions {
  return {
    "grpc.keepalive_time_ms": 10_000,
    "grpc.keepalive_timeout_ms": 5_000,
    "grpc.max_receive_message_length": maxMessageBytes,
    "grpc.max_send_message_length": maxMessageBytes,
    // Channelz stays on: without it grpc-js 1.14 keeps no list of sessions, and a forced shutdown ends none of them.
  };
}
