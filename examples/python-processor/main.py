"""
A flowctl component in plain Python and grpcio: as a processor it adds a digest of the payload to each JSON event.
FLOWCTL_COMPONENT_TYPE makes it a source of numbers, or a sink that prints, instead: the same protocol from each side.

  with: { field: digest }     processor: name of the added field
  with: { count: 100 }        source: how many numbers; for ever when left out
"""

import asyncio
import hashlib
import json
import os
import signal
import sys
import uuid
from collections import deque

env = os.environ
if "FLOWCTL_CONTROL_PLANE" not in env:
    sys.exit("FLOWCTL_CONTROL_PLANE is not set: flowctl starts this program, by `flowctl run` or `flowctl component test`")
try:
    import grpc
    from flowctl.event.v1 import event_pb2
    from flowctl.registry.v1 import registry_pb2
    from flowctl.stream.v1 import stream_pb2_grpc
    from identity import Identity
    from inlet import Inlet
    from life import Life, Positions
    from outlet import Outlet
except ModuleNotFoundError as missing:
    sys.exit(f"{sys.executable} lacks the module {missing.name}: README.md says how to install and generate what this needs")
TYPE = env.get("FLOWCTL_COMPONENT_TYPE", "processor")
SERVER = [
    ("grpc.max_send_message_length", 20 << 20),  # an event may go alone, whatever its size
    ("grpc.http2.min_ping_interval_without_data_ms", 2_000),  # subscribers ping while nothing flows
    ("grpc.keepalive_permit_without_calls", 1),
]
ME = dict(
    pipeline=env["FLOWCTL_PIPELINE"],
    component_id=env["FLOWCTL_COMPONENT_ID"],
    instance_id=env["FLOWCTL_INSTANCE_ID"],
    incarnation=str(uuid.uuid4()),
)


def digest(event, field):
    """The processor's work: one event in, one out, with the same id, so that a replay gives the same."""
    content = json.loads(event.payload)
    if not isinstance(content, dict):
        raise ValueError(f"event {event.id} is not a JSON object")
    content[field] = hashlib.sha256(event.payload).hexdigest()
    output = event_pb2.Event()
    output.CopyFrom(event)
    output.payload = json.dumps(content).encode()
    output.source_component_id = ME["component_id"]
    return output


async def produce(config, start, outlet, positions, stopping):
    """
    The source's work: numbers from `start`, a few ahead of what is acknowledged. Returns when there are no more, or when
    told to stop, with everything acknowledged and the last position stored.
    """
    pending, woken = deque(), asyncio.Event()  # pending: [position, acknowledged], in order
    number = start

    def acknowledged(entry):
        entry[1], position = True, None
        while pending and pending[0][1]:  # only over what is acknowledged without a gap
            position = pending.popleft()[0]
        if position is not None:
            positions.reached(str(position).encode())
        woken.set()

    while not stopping.is_set():
        while len(pending) < 256 and number < config.get("count", float("inf")):
            number += 1
            entry = [number, False]
            pending.append(entry)
            outlet.give(
                event_pb2.Event(
                    id=f"{ME['component_id']}-{number}",
                    type="number.v1",
                    payload=json.dumps({"number": number}).encode(),
                    content_type="application/json",
                    source_component_id=ME["component_id"],
                ),
                lambda entry=entry: acknowledged(entry),
            )
        if not pending:
            break
        waiting = [asyncio.create_task(event.wait()) for event in (woken, stopping)]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()
        woken.clear()
    await outlet.drained()
    await positions.stored()


async def consume(inlet, outlet):
    """The work of the others: returns when nothing comes any more and everything made of it is acknowledged."""
    await inlet.until(inlet.completed)
    await outlet.drained()


async def silence(background):
    """Ends heartbeats and the watch, with the call that is under way."""
    for task in background:
        task.cancel()
    await asyncio.gather(*background, return_exceptions=True)


async def main():
    try:
        config = json.loads(env.get("FLOWCTL_CONFIG") or "{}")
        if not isinstance(config, dict):
            raise ValueError("it is not an object")
    except ValueError as error:
        sys.exit(f"invalid configuration in FLOWCTL_CONFIG: {error}")

    identity = Identity(ME, env["FLOWCTL_CONTROL_PLANE"], env)
    outlet = Outlet(ME, identity)
    failed = asyncio.get_running_loop().create_future()

    def process(event, done):
        try:
            if TYPE == "sink":
                sys.stdout.write(event.payload.decode(errors="replace") + "\n")
                sys.stdout.flush()
                done()
            else:
                outlet.give(digest(event, config.get("field", "digest")), done)
        except ValueError as error:  # a bad event ends the component: it is not acknowledged and not lost
            if not failed.done():
                failed.set_result(str(error))

    inlet = Inlet(ME, process, identity)

    def metrics():
        flying = inlet.in_flight + outlet.in_flight
        return registry_pb2.Metrics(events_in=inlet.events_in, events_out=outlet.events_out, in_flight=flying)

    def follow(topology):
        outlet.follow(topology)
        inlet.follow(topology)

    health_port = env.get("FLOWCTL_HEALTH_PORT", "8088")
    registration = dict(
        type=registry_pb2.ComponentType.Value(f"COMPONENT_TYPE_{TYPE.upper()}"),
        address="" if TYPE == "sink" else env["FLOWCTL_ADVERTISE"],
        health_endpoint=f"{env['FLOWCTL_ADVERTISE'].rpartition(':')[0]}:{health_port}",
        metadata={"name": "python-processor", "version": "1.0.0"},
        features=["types"],
    )
    life = Life(ME, registration, identity, metrics, follow)
    life.serve_health(int(health_port))
    await identity.join()
    life.connect()
    if TYPE != "sink":
        server = grpc.aio.server(options=SERVER)
        stream_pb2_grpc.add_EventStreamServicer_to_server(outlet, server)
        identity.serve(server, env["FLOWCTL_LISTEN"])
        await server.start()
    answer = await life.register()
    interval = answer.heartbeat_interval.ToMilliseconds() / 1000 or 10
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    if TYPE == "source":
        work = asyncio.create_task(produce(config, int(answer.checkpoint or 0), outlet, Positions(life), stopping))
    else:
        work = asyncio.create_task(consume(inlet, outlet))
    kept = asyncio.create_task(identity.keep(lambda: life.stub))  # also while it says goodbye
    background = [asyncio.create_task(task) for task in (life.beat(interval), life.watch())]

    async def leave(reason):
        """The last word: nothing of ours may register again after it."""
        await silence(background)
        await life.leave(reason)

    stop = asyncio.create_task(stopping.wait())
    await asyncio.wait([work, stop, failed], return_when=asyncio.FIRST_COMPLETED)
    if failed.done():
        await leave(registry_pb2.DEREGISTER_REASON_FAILED)
        sys.exit(failed.result())
    if stop.done():
        # Take nothing new, and give what is on its way the grace period, less what saying goodbye takes.
        inlet.stopping = True
        grace = int(env.get("FLOWCTL_STOP_GRACE_MS", "10000")) / 1000 - 0.7
        rest = asyncio.gather(outlet.drained(), inlet.until(lambda: inlet.in_flight == 0), *([work] if TYPE == "source" else []))
        await asyncio.wait([rest], timeout=max(0.1, grace))
        await leave(registry_pb2.DEREGISTER_REASON_STOPPED)
    else:
        outlet.end()
        await asyncio.sleep(0.1)  # the ends of the streams go out
        await silence(background)
        goodbye = asyncio.create_task(life.complete())
        await asyncio.wait([goodbye, stop], return_when=asyncio.FIRST_COMPLETED)
    sys.stdout.flush()
    os._exit(0)  # whatever still waits has nothing left to wait for


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except SystemExit as error:
        print(error.code, file=sys.stderr, flush=True)
        os._exit(1)  # the reason is the last line: whatever is torn down now has no say any more
