"""Object stores for tests: real servers on loopback sockets, spoken to by the real libraries, and a proxy with faults.

S3 is moto's server, Azure Blob is azurite (`make test` brings it), Google's is the small one below.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import itertools
import json
import os
import re
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import boto3
import google_crc32c
from azure.storage.blob import ContainerClient
from botocore.config import Config
from moto.server import ThreadedMotoServer

ROOT = Path(__file__).resolve().parent.parent
AZURITE = ROOT / ".cache" / "azurite" / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
# The account and key that every azurite has; they open nothing else.
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
BUCKET = "bills"


@dataclass(frozen=True)
class Bucket:
    """A bucket on a server: its address, what reaches it, and how a test fills it.

    What `put` puts at a key that ends in `/` stands for a folder, as each store has it.
    """

    scheme: str
    root: str
    port: int
    put: Callable[[str, bytes], None]
    remove: Callable[[str], None]
    environment: Callable[[int], dict[str, str]]  # of a port: the server's own, or a proxy's

    def address(self, key: str = "") -> str:
        return f"{self.scheme}://{self.root}/{key}"


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@contextmanager
def serving(handler: Callable[..., BaseHTTPRequestHandler]) -> Iterator[int]:
    """Serve HTTP on a port of this machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


# --- S3 ---------------------------------------------------------------------------------------------------------------


def s3_environment(port: int) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "not-a-secret",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }


def s3_client(port: int) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{port}",
        aws_access_key_id="testing",
        aws_secret_access_key="not-a-secret",
        region_name="us-east-1",
        config=Config(request_checksum_calculation="when_required"),  # none but the ETag, unless a test asks for one
    )


@contextmanager
def s3() -> Iterator[Bucket]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        port = server.get_host_and_port()[1]
        client = s3_client(port)
        client.create_bucket(Bucket=BUCKET)
        yield Bucket(
            "s3",
            BUCKET,
            port,
            lambda key, data: client.put_object(Bucket=BUCKET, Key=key, Body=data),
            lambda key: client.delete_object(Bucket=BUCKET, Key=key),
            s3_environment,
        )
        client.close()
    finally:
        server.stop()


# --- Google Cloud Storage ---------------------------------------------------------------------------------------------


@contextmanager
def gs() -> Iterator[Bucket]:
    """Serve as much of the JSON API as is read: lists in pages, ranges, generations, checksums.

    No emulator of the package index does all of it: the one that runs here has no pages and ignores generations.
    """
    objects: dict[str, tuple[str, bytes]] = {}
    generations = itertools.count(1_700_000_000_000_000)
    with serving(partial(_JsonApi, objects)) as port:
        yield Bucket(
            "gs",
            BUCKET,
            port,
            lambda key, data: objects.update({key: (str(next(generations)), data)}),
            lambda key: objects.pop(key) and None,
            lambda at: {"STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{at}"},
        )


class _JsonApi(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, objects: dict[str, tuple[str, bytes]], *arguments: Any) -> None:
        self.objects = objects
        super().__init__(*arguments)

    def log_message(self, *_arguments: object) -> None:
        pass

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        asked = {name: values[0] for name, values in parse_qs(url.query).items()}
        where = re.fullmatch(r"(?:/download)?/storage/v1/b/([^/]+)(?:/o(?:/(.+))?)?", url.path)
        key = unquote(where[2] or "")
        if where[1] != BUCKET or (key and key not in self.objects):
            self.answer(404, b'{"error": {"code": 404, "message": "Not Found"}}')
        elif key:
            generation, data = self.objects[key]
            if asked.get("ifGenerationMatch", generation) != generation:
                self.answer(412, b'{"error": {"code": 412, "message": "Precondition Failed"}}')
            elif begin := re.match(r"bytes=(\d+)-", self.headers.get("Range", "")):
                start = int(begin[1])
                self.answer(206, data[start:], f"bytes {start}-{len(data) - 1}/{len(data)}")
            else:
                self.answer(200, data)
        else:
            names = sorted(name for name in self.objects if name.startswith(asked.get("prefix", "")))
            start, size = int(asked.get("pageToken", 0)), int(asked.get("maxResults", 1_000))
            page = {"items": [self.resource(name) for name in names[start : start + size]]}
            more = {"nextPageToken": str(start + size)} if len(names) > start + size else {}
            self.answer(200, json.dumps(page | more).encode())

    def resource(self, name: str) -> dict[str, str]:
        generation, data = self.objects[name]
        md5 = base64.b64encode(hashlib.md5(data).digest()).decode()
        crc32c = base64.b64encode(google_crc32c.Checksum(data).digest()).decode()
        return {"name": name, "size": str(len(data)), "generation": generation, "md5Hash": md5, "crc32c": crc32c}

    def answer(self, status: int, body: bytes, content_range: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if content_range:
            self.send_header("Content-Range", content_range)
        self.end_headers()
        self.wfile.write(body)


# --- Azure Blob -------------------------------------------------------------------------------------------------------


def connection_string(port: int, account: str = ACCOUNT) -> str:
    endpoint = f"http://127.0.0.1:{port}/{account}"
    return f"DefaultEndpointsProtocol=http;AccountName={account};AccountKey={KEY};BlobEndpoint={endpoint};"


@contextmanager
def az() -> Iterator[Bucket]:
    assert AZURITE.exists(), "azurite is missing; run `make .cache/azurite/installed`"
    port = free_port()
    options = ["--blobHost", "127.0.0.1", "--blobPort", str(port), "--inMemoryPersistence", "--silent"]
    command = ["node", str(AZURITE), *options, "--skipApiVersionCheck", "--disableTelemetry"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as server:
        try:
            _until_listening(port, server)
            client = ContainerClient.from_connection_string(connection_string(port), BUCKET)
            client.create_container()

            def put(key: str, data: bytes) -> None:
                marker = {"hdi_isfolder": "true"} if key.endswith("/") else None
                client.upload_blob(key.rstrip("/"), data, overwrite=True, metadata=marker)

            yield Bucket(
                "az",
                f"{ACCOUNT}/{BUCKET}",
                port,
                put,
                client.delete_blob,
                lambda at: {"AZURE_STORAGE_CONNECTION_STRING": connection_string(at)},
            )
            client.close()
        finally:
            server.kill()


def _until_listening(port: int, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert server.poll() is None, server.stdout.read().decode()
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("azurite doesn't listen")


STORES = {"s3": s3, "gs": gs, "az": az}


# --- faults -----------------------------------------------------------------------------------------------------------


@dataclass
class Fault:
    """What goes wrong with requests whose line (`METHOD path range`) fits, `times` times.

    `status` answers instead of the server. `cut_after` closes the connection after so many bytes of the body (once
    `cutting` was called), `short` leaves off the rest and says so in Content-Length, `flip` changes the byte at a
    place. `then` is called before the server is asked.
    """

    line: str  # a regular expression
    times: int = 1
    status: int = 0
    body: bytes = b""
    cut_after: int | None = None
    short: int | None = None
    flip: int | None = None
    then: Callable[[], object] | None = None
    cutting: Callable[[], object] = lambda: None


@dataclass
class Proxy:
    """Stands between a library and its server, keeps count, and does what its faults say."""

    port: int = 0
    faults: list[Fault] = field(default_factory=list)
    seen: list[tuple[str, str, int]] = field(default_factory=list)  # request line, range asked for, bytes sent

    def fault(self, line: str) -> Fault | None:
        for fault in self.faults:
            if fault.times and re.search(fault.line, line):
                fault.times -= 1
                return fault
        return None

    def bodies(self, name: str) -> list[tuple[str, int]]:
        """The range and the bytes of each answer to a GET of an object."""
        return [(asked, sent) for line, asked, sent in self.seen if line.startswith("GET ") and name in line and sent]


@contextmanager
def proxy(upstream: int) -> Iterator[Proxy]:
    """Serve a proxy to a port of this machine."""
    made = Proxy()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_arguments: object) -> None:
            pass

        def do_GET(self) -> None:
            line = f"{self.command} {self.path}"
            asked = self.headers.get("Range") or self.headers.get("x-ms-range") or ""
            fault = made.fault(f"{line} {asked}")
            if fault and fault.then:
                fault.then()
            if fault and fault.status:
                self._answer(fault.status, [], fault.body)
                made.seen.append((line, asked, 0))
                return
            length = int(self.headers.get("Content-Length") or 0)
            connection = http.client.HTTPConnection("127.0.0.1", upstream, timeout=60)
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                connection.putheader(name, value)
            connection.endheaders(self.rfile.read(length))
            answer = connection.getresponse()
            body = answer.read()
            connection.close()
            if fault and fault.flip is not None:
                body = body[: fault.flip] + bytes([body[fault.flip] ^ 1]) + body[fault.flip + 1 :]
            if fault and fault.short is not None:
                body = body[: fault.short]
            kept = body if not fault or fault.cut_after is None else body[: fault.cut_after]
            headers = [
                (n, v)
                for n, v in answer.getheaders()
                if n.lower() not in ("content-length", "transfer-encoding", "connection")
            ]
            if self.command == "HEAD":
                headers += [("Content-Length", answer.getheader("Content-Length") or "0")]
            self._answer(answer.status, headers, kept, len(body))
            made.seen.append((line, asked, len(kept)))
            if len(kept) < len(body):
                self.wfile.flush()
                fault.cutting()
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True

        do_HEAD = do_GET  # noqa: N815 - http.server's name

        def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes, length: int | None = None) -> None:
            self.send_response_only(status)
            for name, value in headers:
                self.send_header(name, value)
            if self.command != "HEAD" or length is None:
                self.send_header("Content-Length", str(len(body) if length is None else length))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

    with serving(Handler) as made.port:
        yield made
