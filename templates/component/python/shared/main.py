"""Runs component.py as a flowctl component: lifecycle, upstream side and downstream side."""

import asyncio
import json
import os
import signal
import sys
import uuid
from collections import deque

import component

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
TYPE = component.TYPE
SERVER = [
    ("grpc.max_send_message_length", 20 << 20),  # an event may go alone, whatever its size
    ("grpc.http2.min_ping_interval_without_data_ms", 2_000),  # subscribers ping while nothing flows
    ("grpc.keepalive_permit_without_calls", 1),
]
AHEAD = 256  # events of a source that may be on their way
ME = dict(
    pipeline=env["FLOWCTL_PIPELINE"],
    component_id=env["FLOWCTL_COMPONENT_ID"],
    instance_id=env["FLOWCTL_INSTANCE_ID"],
    incarnation=str(uuid.uuid4()),
)


class Together:
    """Calls `done` once `count` parts are done."""

    def __init__(self, count, done):
        self.count, self.done = count, done

    def part(self):
        self.count -= 1
        if self.count == 0:
            self.done()


def made(fields, event_id):
    """An event of the component's own. The id is the same on a replay, so that a sink can tell."""
    payload = json.dumps(fields["json"]).encode() if "json" in fields else fields["payload"]
    return event_pb2.Event(
        id=fields.get("id", event_id),
        type=fields["type"],
        payload=payload,
        content_type=fields.get("content_type", "application/json" if "json" in fields else ""),
        source_component_id=ME["component_id"],
    )


async def produce(config, start, outlet, positions, stopping):
    """
    Gives what the source makes, a few events ahead of what is acknowledged. Returns when it has ended, or when told to
    stop, with everything acknowledged and the last position stored.
    """
    pending, woken, exhausted = deque(), asyncio.Event(), False  # pending: [position, acknowledged], in order
    events = component.produce(config, json.loads(start) if start else None)

    def acknowledged(entry):
        entry[1], reached = True, None
        while pending and pending[0][1]:  # only over what is acknowledged without a gap
            reached = pending.popleft()
        if reached is not None:
            positions.reached(json.dumps(reached[0]).encode())
        woken.set()

    while not stopping.is_set():
        while len(pending) < AHEAD and not exhausted:
            fields, position = next(events, (None, None))
            if fields is None:
                exhausted = True
                break
            entry = [position, False]
            pending.append(entry)
            event = made(fields, f"{ME['component_id']}:{json.dumps(position)}")
            outlet.give(event, lambda entry=entry: acknowledged(entry))
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
        config = component.configure(json.loads(env.get("FLOWCTL_CONFIG") or "{}"))
    except (ValueError, TypeError) as error:
        sys.exit(f"invalid configuration in FLOWCTL_CONFIG: {error}")

    identity = Identity(ME, env["FLOWCTL_CONTROL_PLANE"], env)
    outlet = Outlet(ME, identity)
    failed = asyncio.get_running_loop().create_future()

    def take(event, done):
        try:
            if TYPE == "sink":
                component.write(event, config)
                return done()
            outputs = list(component.process(event, config))
            if not outputs:
                return done()
            together = Together(len(outputs), done)
            for number, fields in enumerate(outputs):
                outlet.give(made(fields, event.id if number == 0 else f"{event.id}/{number}"), together.part)
        except Exception as error:  # a bad event ends the component: it is not acknowledged, and not lost
            if not failed.done():
                failed.set_result(f"event {event.id}: {error}")

    inlet = Inlet(ME, take, identity)

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
        metadata={"name": "{{name}}", "version": "0.1.0"},
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
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    if TYPE == "source":
        work = asyncio.create_task(produce(config, answer.checkpoint, outlet, Positions(life), stopping))
    else:
        work = asyncio.create_task(consume(inlet, outlet))
    interval = answer.heartbeat_interval.ToMilliseconds() / 1000 or 10
    kept = asyncio.create_task(identity.keep(lambda: life.stub))  # also while it says goodbye
    background = [asyncio.create_task(task) for task in (life.beat(interval), life.watch())]

    async def leave(reason):
        """The last word: nothing of ours may register again after it."""
        await silence(background)
        await life.leave(reason)

    stop = asyncio.create_task(stopping.wait())
    await asyncio.wait([work, stop, failed], return_when=asyncio.FIRST_COMPLETED)
    if work.done() and work.exception() is not None:
        failed.cancel()
        await leave(registry_pb2.DEREGISTER_REASON_FAILED)
        raise work.exception()
    if failed.done():
        await leave(registry_pb2.DEREGISTER_REASON_FAILED)
        sys.exit(failed.result())
    if stop.done():
        # Take nothing new, and give what is on its way the grace period, less what saying goodbye takes.
        inlet.stopping = True
        grace = int(env.get("FLOWCTL_STOP_GRACE_MS", "10000")) / 1000 - 0.7
        rest = [outlet.drained(), inlet.until(lambda: inlet.in_flight == 0), *([work] if TYPE == "source" else [])]
        await asyncio.wait([asyncio.gather(*rest)], timeout=max(0.1, grace))
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
