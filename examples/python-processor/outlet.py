"""What is below: serves EventStream, keeps events until every group has acknowledged them, keeps to the credit."""

import asyncio
from collections import deque

import grpc
from flowctl.stream.v1 import stream_pb2 as pb
from flowctl.stream.v1 import stream_pb2_grpc

BATCH_EVENTS, BATCH_BYTES = 256, 1 << 20


class Item:
    """One event on its way; `done` is called when every group has acknowledged it."""

    def __init__(self, event, done):
        self.event, self.size, self.done, self.open = event, event.ByteSize(), done, 0


class Group:
    """All instances of one downstream component: they share its events."""

    def __init__(self):
        self.waiting = deque()
        self.streams = {}  # instance id -> Stream
        self.nacks = {}  # Item -> how often it was nacked
        self.paused = set()  # Items that wait to be sent again

    def wake(self):
        for stream in self.streams.values():
            stream.woken.set()


class Stream:
    """One subscription: what was sent on it and how much more may be sent."""

    def __init__(self, credit):
        self.credit, self.sent, self.bytes = credit, 0, 0
        self.unacknowledged = deque()  # (sequence, Item)
        self.woken = asyncio.Event()
        self.left = False  # the subscriber has closed its side: it acknowledges nothing more
        self.error = None  # (status code, text): why the stream has to end

    def take(self, waiting):
        """Removes from `waiting` what may be sent now: as much as the credit allows and one message holds."""
        batch, size = [], 0
        while waiting and self.sent < self.credit.max_sequence and len(batch) < BATCH_EVENTS:
            item = waiting[0]
            over_credit = self.bytes + item.size > self.credit.max_bytes
            if over_credit and self.unacknowledged or batch and size + item.size > BATCH_BYTES:
                break
            waiting.popleft()
            self.sent, self.bytes, size = self.sent + 1, self.bytes + item.size, size + item.size
            self.unacknowledged.append((self.sent, item))
            batch.append(item.event)
        return batch


class Outlet(stream_pb2_grpc.EventStreamServicer):
    def __init__(self, me, identity=None):
        self.identity = identity
        self.me, self.groups, self.downstreams = me, {}, []
        self.in_flight, self.events_out = 0, 0
        self.follows = False  # whether it has heard of a topology
        self.progress = asyncio.Event()
        self.ended = False

    def follow(self, topology):
        """Takes the groups that exist from the topology, so that one that is not connected yet is waited for."""
        self.downstreams, self.follows = list(topology.downstreams), True
        for name in self.groups.keys() - {downstream.component_id for downstream in self.downstreams}:
            self._forget(self.groups.pop(name))

    def give(self, event, done):
        """Hands one event to every group below that wants its type."""
        self.events_out += 1
        item = Item(event, done)
        wanting = [d for d in self.downstreams if not d.dead_letters and (not d.types or event.type in d.types)]
        item.open, self.in_flight = len(wanting), self.in_flight + 1
        for downstream in wanting:
            group = self.groups.setdefault(downstream.component_id, Group())
            group.waiting.append(item)
            group.wake()
        if not wanting:
            self._finish(item)

    async def drained(self):
        """Waits until every group has acknowledged everything."""
        while self.in_flight:
            self.progress.clear()
            await self.progress.wait()

    def end(self):
        """
        Tells everybody that nothing follows: only after `drained`, and after a source's last position is stored. Whoever is
        told may exit, and would be missing if something had to be sent again.
        """
        self.ended = True
        for group in self.groups.values():
            group.wake()

    async def Subscribe(self, requests, context):
        first = await anext(aiter(requests))
        if first.WhichOneof("request") != "open":
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "the first request must be Open")
        refusal = self.identity.refusal(context, first.open) if self.identity else None
        if refusal is not None:
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, refusal)
        if self.identity and self.identity.secure and first.open.group not in {d.component_id for d in self.downstreams}:
            code = grpc.StatusCode.NOT_FOUND if self.follows else grpc.StatusCode.UNAVAILABLE  # then it dials again
            await context.abort(code, f"{first.open.group} is not below this component")
        if first.open.pipeline != self.me["pipeline"]:
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, f"this is pipeline {self.me['pipeline']}")
        if first.open.upstream_instance_id not in ("", self.me["instance_id"]):
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, f"this is {self.me['instance_id']}")
        group = self.groups.setdefault(first.open.group, Group())
        stream = Stream(first.open.credit)
        before = group.streams.get(first.open.instance_id)
        if before is not None:
            before.error = (grpc.StatusCode.ABORTED, "another stream of this instance replaces this one")
            self._leave(group, before)
        group.streams[first.open.instance_id] = stream
        reader = asyncio.create_task(self._read(requests, group, stream))
        try:
            opened = pb.Opened(component_id=self.me["component_id"], instance_id=self.me["instance_id"])
            await context.write(pb.SubscribeResponse(opened=opened))
            while stream.error is None and not stream.left:
                stream.woken.clear()
                before = stream.sent
                if batch := stream.take(group.waiting):
                    message = pb.EventBatch(first_sequence=before + 1, events=batch)
                    await context.write(pb.SubscribeResponse(batch=message))
                elif self.ended:
                    return await context.write(pb.SubscribeResponse(end=pb.EndOfStream(last_sequence=stream.sent)))
                else:
                    await stream.woken.wait()
            if stream.error is not None:
                await context.abort(*stream.error)
        finally:
            reader.cancel()
            if group.streams.get(first.open.instance_id) is stream:
                del group.streams[first.open.instance_id]
            self._leave(group, stream)

    async def _read(self, requests, group, stream):
        try:
            async for request in requests:
                kind = request.WhichOneof("request")
                if request.HasField("credit"):  # alone, or together with any of the others
                    stream.credit = request.credit
                if kind == "ack":
                    if request.ack.sequence > stream.sent:
                        raise ValueError(f"sequence {request.ack.sequence} was never sent")
                    while stream.unacknowledged and stream.unacknowledged[0][0] <= request.ack.sequence:
                        item = stream.unacknowledged.popleft()[1]
                        group.nacks.pop(item, None)
                        self._acknowledged(item)
                elif kind == "nack":
                    for entry in [e for e in stream.unacknowledged if e[0] == request.nack.sequence]:
                        stream.unacknowledged.remove(entry)
                        self._pause(group, entry[1])
                stream.woken.set()
            stream.left = True
            stream.woken.set()
        except Exception as error:  # whatever a peer sends costs its own stream only
            stream.error = (grpc.StatusCode.INVALID_ARGUMENT, str(error))
            stream.woken.set()

    def _pause(self, group, item):
        """A nacked event is sent again after a while, twice as long each time; others are sent meanwhile."""

        def over():
            if item in group.paused:
                group.paused.remove(item)
                group.waiting.appendleft(item)
                group.wake()

        group.nacks[item] = group.nacks.get(item, 0) + 1
        group.paused.add(item)
        asyncio.get_running_loop().call_later(min(5, 0.05 * 2 ** (group.nacks[item] - 1)), over)

    def _leave(self, group, stream):
        group.waiting.extendleft(item for _, item in reversed(stream.unacknowledged))
        stream.unacknowledged.clear()
        stream.woken.set()
        group.wake()

    def _forget(self, group):
        """A group that is gone has nothing to acknowledge any more."""
        for stream in list(group.streams.values()):
            stream.error = (grpc.StatusCode.NOT_FOUND, "this group takes no input from here any more")
            self._leave(group, stream)
        while group.waiting:
            self._acknowledged(group.waiting.popleft())
        while group.paused:
            self._acknowledged(group.paused.pop())

    def _acknowledged(self, item):
        item.open -= 1
        if item.open == 0:
            self._finish(item)

    def _finish(self, item):
        self.in_flight -= 1
        item.done()
        self.progress.set()
