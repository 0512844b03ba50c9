"""What is above: dials every upstream instance, takes events as far as there is room, acknowledges what is done."""

import asyncio
from collections import deque

import grpc
from flowctl.stream.v1 import stream_pb2 as pb
from flowctl.stream.v1 import stream_pb2_grpc

WINDOW_EVENTS, WINDOW_BYTES = 1024, 16 << 20
CHANNEL = [
    ("grpc.max_receive_message_length", 20 << 20),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.enable_retries", 0),
    ("grpc.use_local_subchannel_pool", 1),  # a new channel is a new connection, to where the name leads by then
]


class Inlet:
    """`process(event, done)` is called for each event, in order; it calls `done` when the event is dealt with."""

    def __init__(self, me, process, identity=None):
        self.me, self.process, self.identity = me, process, identity
        self.tasks = {}  # (component id, instance id, address) -> task
        self.ended = {}  # (component id, instance id) that has sent its end -> whether that was of the edge alone
        self.draining = set()  # the same ids, of inputs that the pipeline file no longer has
        self.upstreams, self.in_flight, self.events_in, self.stopping = [], 0, 0, False
        self.progress = asyncio.Event()

    def follow(self, topology):
        """Dials what is new and leaves what is gone. Each topology replaces the one before."""
        self.upstreams = list(topology.upstreams)
        # One that is listed again later is a new one, and an input that is wanted again goes on.
        listed = {
            (upstream.component_id, instance.instance_id): upstream.draining
            for upstream in self.upstreams
            for instance in upstream.instances
        }
        self.ended = {key: drained for key, drained in self.ended.items() if key in listed and (listed[key] or not drained)}
        self.draining = {key for key, draining in listed.items() if draining}
        instances = [instance for upstream in self.upstreams for instance in upstream.instances]
        self.by_control_plane = {instance.instance_id for instance in instances if instance.control_plane}
        wanted = {
            (upstream.component_id, instance.instance_id, instance.address)
            for upstream in self.upstreams
            for instance in upstream.instances
            if not instance.completed
        }
        for key in [key for key, task in self.tasks.items() if key[:2] not in self.ended and (key not in wanted or task.done())]:
            self.tasks.pop(key).cancel()
        for key in wanted - self.tasks.keys():
            if key[:2] not in self.ended and not self.stopping:
                self.tasks[key] = asyncio.create_task(self._subscribe_for_ever(key))
        self.progress.set()

    def completed(self):
        """Whether nothing will ever come again, and everything that came is dealt with."""
        return self.in_flight == 0 and all(upstream.completed or self._has_ended(upstream) for upstream in self.upstreams)

    def _has_ended(self, upstream):
        """As many as there are when all are up, and none of those that the topology lists is still at work."""
        ids = [(upstream.component_id, instance.instance_id) for instance in upstream.instances if not instance.completed]
        return 0 < upstream.desired_instances <= len(upstream.instances) and all(key in self.ended for key in ids)

    async def until(self, condition):
        while not condition():
            self.progress.clear()
            await self.progress.wait()

    async def _subscribe_for_ever(self, key):
        while key[:2] not in self.ended:
            try:
                own = (key[2], key[1])
                address, name = (self.identity.address, "control-plane") if key[1] in self.by_control_plane else own
                async with self.identity.channel(address, name, CHANNEL) as channel:
                    await self._subscribe(key, channel)
            except grpc.aio.AioRpcError as error:
                print(f"stream to {key[1]} at {key[2]}: {error.code().name} {error.details()}", flush=True)
            await asyncio.sleep(0.3)

    async def _subscribe(self, key, channel):
        call = stream_pb2_grpc.EventStreamStub(channel).Subscribe()
        inputs = deque()  # [sequence, size, done], in order
        woken = asyncio.Event()
        first = pb.Credit(max_sequence=WINDOW_EVENTS, max_bytes=WINDOW_BYTES)
        me = dict(pipeline=self.me["pipeline"], group=self.me["component_id"], instance_id=self.me["instance_id"])
        await call.write(pb.SubscribeRequest(open=pb.Open(credit=first, upstream_instance_id=key[1], **me)))
        acknowledger = asyncio.create_task(self._acknowledge(call, inputs, woken))
        try:
            while (response := await call.read()) is not grpc.aio.EOF:
                kind = response.WhichOneof("response")
                if kind == "opened" and (response.opened.component_id, response.opened.instance_id) != key[:2]:
                    print(f"{response.opened.instance_id} answers at {key[2]}, where {key[1]} should be", flush=True)
                    return  # two containers can swap their addresses: the next try looks the name up again
                if kind == "end":
                    # The end of an edge that this side still has: one of the two has yet to hear of a change.
                    if not response.end.drained or key[:2] in self.draining:
                        self.ended[key[:2]] = response.end.drained
                    self.progress.set()
                elif kind == "batch" and not self.stopping:
                    for offset, event in enumerate(response.batch.events):
                        self._take([response.batch.first_sequence + offset, event.ByteSize(), False], event, inputs, woken)
            await call.done_writing()
            if await call.code() is not grpc.StatusCode.OK:
                raise grpc.aio.AioRpcError(await call.code(), None, None, await call.details())
        finally:
            acknowledger.cancel()
            call.cancel()
            self.in_flight -= len(inputs)  # they will be sent again
            inputs.clear()
            self.progress.set()

    def _take(self, entry, event, inputs, woken):
        self.events_in += 1
        self.in_flight += 1
        inputs.append(entry)

        def done():
            entry[2] = True
            woken.set()

        self.process(event, done)

    async def _acknowledge(self, call, inputs, woken):
        acknowledged_bytes = 0
        while True:
            await woken.wait()
            woken.clear()
            last, count = None, 0
            while inputs and inputs[0][2]:
                last, size, _ = inputs.popleft()
                acknowledged_bytes, count = acknowledged_bytes + size, count + 1
            if last is None:
                continue
            request = pb.SubscribeRequest(ack=pb.Ack(sequence=last))
            if not self.stopping:
                more = dict(max_sequence=last + WINDOW_EVENTS, max_bytes=acknowledged_bytes + WINDOW_BYTES)
                request.credit.CopyFrom(pb.Credit(**more))
            try:
                await call.write(request)
            except (asyncio.InvalidStateError, grpc.aio.AioRpcError):
                return  # the stream is over, perhaps because that was the last ack; whoever reads it sees why
            finally:
                self.in_flight -= count
                self.progress.set()
