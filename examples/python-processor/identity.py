"""Who the component is: joins with the files that it was given, keeps what its next start joins with, and renews."""

import asyncio
import calendar
import os
import random
import ssl
import time

import grpc
from flowctl.registry.v1 import registry_pb2 as pb
from flowctl.registry.v1 import registry_pb2_grpc

PASSING = {grpc.StatusCode[name] for name in ("UNAVAILABLE", "NOT_FOUND", "DEADLINE_EXCEEDED", "INTERNAL")}
REFUSED = (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)
LOOK = 5  # seconds from one look at the clocks to the next: the machine sleeps, and its clock is set


class Identity:
    """Without FLOWCTL_TLS_CERT everything is in the clear. `changed` is called with nothing when there is another certificate."""

    def __init__(self, me, address, env):
        self.me, self.address, self.changed = me, address, lambda: None
        self.files = [env.get(name) for name in ("FLOWCTL_TLS_CA", "FLOWCTL_TLS_CERT", "FLOWCTL_TLS_KEY")]
        self.secure = any(self.files)
        if self.secure and not all(self.files):
            raise SystemExit("FLOWCTL_TLS_CA, FLOWCTL_TLS_CERT and FLOWCTL_TLS_KEY belong together")
        self.ca = read(self.files[0]) if self.secure else None
        self.working = None  # (key, certificate) in PEM
        self.renew_after, self.since = 0, (0, 0)  # seconds; when it came, by the clock that never jumps and by the machine's
        self.expires = 0  # by the machine's clock

    def channel(self, address, name, options, pair=None):
        """A channel that speaks to `name` alone: `control-plane`, or the id of an instance."""
        if not self.secure:
            return grpc.aio.insecure_channel(address, options=options)
        key, certificate = pair or self.working
        credentials = grpc.ssl_channel_credentials(self.ca, key, certificate)
        named = [("grpc.ssl_target_name_override", name)]  # checked in the place of the address
        return grpc.aio.secure_channel(address, credentials, options=[*options, *named])

    def serve(self, server, listen):
        """Binds the address. Connections that come later see the newest certificate; those that are open stay open."""
        if not self.secure:
            return server.add_insecure_port(listen)
        current = lambda: grpc.ssl_server_certificate_configuration([self.working], root_certificates=self.ca)
        credentials = grpc.dynamic_ssl_server_credentials(current(), current, require_client_authentication=True)
        return server.add_secure_port(listen, credentials)

    def refusal(self, context, opened):
        """Why the caller is not served, who must be the instance that it says; None when it is."""
        if not self.secure:
            return None
        names = [name.decode() for name in context.auth_context().get("x509_subject_alternative_name", [])]
        own = f"spiffe://{self.me['pipeline']}/component/{opened.group}/{opened.instance_id}"
        shown = [name for name in names if name.startswith("spiffe://")]
        return None if shown == [own] else f"the certificate is that of {shown}, and the stream would be that of {own}"

    async def join(self):
        """Gives away the joining certificate, however long it takes until the control plane answers."""
        pause = 0.1
        while self.secure:
            _, certificate, key = map(read, self.files)
            pair = (key, key if b"BEGIN CERTIFICATE" in key else certificate)
            try:
                async with self.channel(self.address, "control-plane", [], pair) as channel:
                    answer = await registry_pb2_grpc.ComponentRegistryStub(channel).Join(pb.JoinRequest(), timeout=5)
                break
            except grpc.aio.AioRpcError as error:
                if error.code() not in PASSING:
                    raise SystemExit(f"the control plane refuses that the instance joins: {error.details()}")
                await asyncio.sleep(pause)
                pause = min(2 * pause, 2)
        else:
            return
        for path in dict.fromkeys([self.files[2], self.files[1]]):  # the file of the key first: it has both, and counts
            replace(path, answer.joining.certificate + answer.joining.key)
        self._use(answer)

    async def keep(self, stub):
        """Renews for ever. `stub` gives the stub of the day. A certificate that has expired is joined for anew."""
        failures = 0
        while self.secure:
            wait = self.renew_after * random.uniform(0.9, 1)
            while not failures and self._age() < wait:
                await asyncio.sleep(min(LOOK, max(0.05, wait - self._age())))
            if failures:
                await asyncio.sleep(min(2 ** (failures - 2), 30))
            try:
                if time.time() >= self.expires:
                    await self.join()
                else:
                    self._use(await stub().Renew(pb.RenewRequest(), timeout=5))
                self.changed()  # a connection is only as good as the certificate that it was made with
                failures = 0
            except grpc.aio.AioRpcError as error:
                if flowctl_code(error) != "identity/not-wanted":  # then it goes on with what it has, and asks again
                    require_welcome(error)
                failures += 1

    def _age(self):
        """Seconds since the working certificate came, by the clock that says more."""
        return max(time.monotonic() - self.since[0], time.time() - self.since[1])

    def _use(self, answer):
        self.working = answer.working.key.encode(), answer.working.certificate.encode()
        self.renew_after = answer.renew_after.ToMilliseconds() / 1000
        self.since = time.monotonic(), time.time()
        self.expires = expiry(answer.working.certificate)


def require_welcome(error):
    """Ends the program when the control plane refuses who it is. What has expired is renewed, or joined for anew, meanwhile."""
    if error.code() in REFUSED and flowctl_code(error) != "identity/expired":
        raise SystemExit(f"the control plane refuses the instance: {error.details()}")


def flowctl_code(error):
    """The code that says why a call was refused."""
    return next((value for key, value in error.trailing_metadata() or () if key == "flowctl-code"), None)


def expiry(certificate):
    """When a certificate in PEM expires, in seconds since 1970."""
    own = certificate.partition("-----END")[0] + "-----END CERTIFICATE-----\n"  # those of authorities may follow
    [(_, whole)] = children(ssl.PEM_cert_to_DER_cert(own))
    _, signed = next(children(whole))
    _, _, validity, *_ = [content for tag, content in children(signed) if tag == 0x30]  # algorithm, issuer, validity, …
    _, (tag, end) = children(validity)
    return calendar.timegm(time.strptime(end.decode(), "%y%m%d%H%M%SZ" if tag == 0x17 else "%Y%m%d%H%M%SZ"))


def children(der):
    """The parts of something in DER: their tags and what is in them."""
    at = 0
    while at < len(der):
        tag, length, at = der[at], der[at + 1], at + 2
        if length & 0x80:
            size = length & 0x7F
            length, at = int.from_bytes(der[at : at + size], "big"), at + size
        yield tag, der[at : at + length]
        at += length


def read(path):
    with open(path, "rb") as file:
        return file.read()


def replace(path, content):
    """Replaces a file as a whole, so that whoever is killed meanwhile leaves the old content or the new one."""
    beside = f"{path}.tmp"
    with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)
    folder = os.open(os.path.dirname(path) or ".", os.O_RDONLY)
    os.fsync(folder)  # so that the old one does not come back when the power goes
    os.close(folder)
