"""The life of a component: health over HTTP, registration, heartbeats, the watch, and the end."""

import asyncio
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
from flowctl.registry.v1 import registry_pb2 as pb
from flowctl.registry.v1 import registry_pb2_grpc
from identity import require_welcome

PASSING = {grpc.StatusCode[name] for name in ("UNAVAILABLE", "NOT_FOUND", "DEADLINE_EXCEEDED", "INTERNAL")}
CHANNEL = [("grpc.initial_reconnect_backoff_ms", 200), ("grpc.max_reconnect_backoff_ms", 2000)]


class Positions:
    """Stores a source's newest position, one call after the other, while the source goes on."""

    def __init__(self, life):
        self.life, self.newest, self.storing = life, None, None

    def reached(self, position):
        """Everything up to `position` is acknowledged."""
        self.newest = position
        if self.storing is None or self.storing.done():
            self.storing = asyncio.create_task(self._store())

    async def stored(self):
        """Waits until the newest position is durable."""
        if self.storing is not None:
            await self.storing

    async def _store(self):
        while self.newest is not None:
            position, self.newest = self.newest, None
            await self.life.save(position)


class Life:
    """`metrics` gives the totals so far; `follow` is called with each topology, the first one before `register` returns."""

    def __init__(self, me, registration, identity, metrics, follow):
        self.me, self.registration, self.metrics, self.follow = me, registration, metrics, follow
        self.identity, self.identity.changed = identity, self.connect
        self.registered = False

    def connect(self):
        """Makes the connection to the control plane, once the instance has joined, and anew with another certificate."""
        channel = self.identity.channel(self.identity.address, "control-plane", CHANNEL)
        self.stub = registry_pb2_grpc.ComponentRegistryStub(channel)

    async def register(self):
        """Registers, however long it takes. Also after the control plane has forgotten us."""
        pause = 0.1
        while True:
            try:
                answer = await self.stub.RegisterComponent(
                    pb.RegisterComponentRequest(**self.me, **self.registration), timeout=5
                )
                self.registered = True
                self.follow(answer.topology)
                return answer
            except grpc.aio.AioRpcError as error:
                if error.code() not in PASSING:
                    raise SystemExit(f"the control plane refuses the registration: {error.details()}")
                await asyncio.sleep(pause)
                pause = min(2 * pause, 2)

    async def beat(self, interval):
        """Heartbeats for ever. While the control plane is away, everything else goes on."""
        while True:
            await asyncio.sleep(interval)
            try:
                await self.stub.Heartbeat(pb.HeartbeatRequest(**self.me, metrics=self.metrics()), timeout=5)
            except grpc.aio.AioRpcError as error:
                require_welcome(error)
                if error.code() is grpc.StatusCode.NOT_FOUND:
                    await self.register()

    async def watch(self):
        """Follows the topology for ever."""
        who = {key: value for key, value in self.me.items() if key != "incarnation"}
        while True:
            try:
                async for answer in self.stub.WatchTopology(pb.WatchTopologyRequest(**who)):
                    self.follow(answer.topology)
            except grpc.aio.AioRpcError as error:
                require_welcome(error)
            await asyncio.sleep(0.5)

    async def save(self, position):
        """Stores a source's position, however long it takes; returns when it is durable. What is refused for good ends it."""
        final = (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.FAILED_PRECONDITION)
        while True:
            try:
                request = pb.SaveCheckpointRequest(**self.me, position=position)
                return await self.stub.SaveCheckpoint(request, timeout=5)
            except grpc.aio.AioRpcError as error:
                require_welcome(error)
                if error.code() in final:
                    raise
                await asyncio.sleep(0.5)

    async def complete(self):
        """Says that the data has ended, however long it takes until the control plane has heard it."""
        while not await self.leave(pb.DEREGISTER_REASON_COMPLETED):
            await asyncio.sleep(0.5)

    async def leave(self, reason):
        """The last word, said once. Returns whether the control plane has heard it."""
        request = pb.DeregisterComponentRequest(**self.me, reason=reason, metrics=self.metrics())
        try:
            await self.stub.DeregisterComponent(request, timeout=2)
            return True
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND and reason == pb.DEREGISTER_REASON_COMPLETED:
                await self.register()  # it has forgotten us, and has to know who it is that has completed
            print(f"the control plane has not heard of our end: {error.details()}", flush=True)
            return False

    def serve_health(self, port):
        life = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                text = {"/health": "ok\n", "/ready": "ok\n" if life.registered else None, "/metrics": life.prometheus()}
                body = text.get(self.path)
                self.send_response(200 if body else 503 if self.path == "/ready" else 404)
                self.end_headers()
                self.wfile.write((body or "").encode())

            def log_message(self, *_):
                pass

        threading.Thread(target=ThreadingHTTPServer(("", port), Handler).serve_forever, daemon=True).start()

    def prometheus(self):
        metrics = self.metrics()
        totals = {"events_in": metrics.events_in, "events_out": metrics.events_out}
        lines = [f"# TYPE flowctl_{name}_total counter\nflowctl_{name}_total {value}\n" for name, value in totals.items()]
        return "".join(lines)
