"""A stand-in for a DICOMweb server that can answer wrongly, in a thread."""

import io
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count, cycle
from urllib.parse import parse_qs, urlsplit

import pydicom

JSON = "application/dicom+json; charset=utf-8"
XML = "application/dicom+xml"
PAGE = b"<html><body>Please log in</body></html>"
OTHER = "1.2.826.0.1.3680043.10.1.9"


class Request(BaseHTTPRequestHandler):
    """A request, and ways to answer it."""

    server: "Server"

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def say(self, status: int, body: bytes = b"", kind: str = "", **headers: str) -> None:
        """Answer."""
        self.send_response(status)
        for name, value in ({"Content-Type": kind} | headers).items():
            if value:
                self.send_header(name.replace("_", "-"), value)
        if "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        """Take a STOW, and answer it rightly or wrongly."""
        body = self._body()
        file = body[body.index(b"DICM") - 128 : body.rindex(b"\r\n--")]
        uid = str(pydicom.dcmread(io.BytesIO(file), stop_before_pixels=True).SOPInstanceUID)
        answer = self.server.fake.next_answer()
        if answer in RIGHT:
            self.server.fake.stored[uid] += 1
        answer(self, uid)

    def do_GET(self) -> None:
        """List films, or give one; everything else is the page to log in."""
        address = urlsplit(self.path)
        fake, uid = self.server.fake, address.path.rpartition("/")[2]
        if address.path == "/instances":
            query = parse_qs(address.query)
            fake.listings += 1
            films = fake.listed(int(query["offset"][0])) if query["Modality"] == ["CR"] else []
            self.say(200, json.dumps(films).encode(), JSON)
        elif uid in fake.downloads:
            fake.fetched[uid] += 1
            fake.downloads[uid](self, uid)
        else:
            self.say(200, PAGE, "text/html")

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers["Content-Length"]))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size + 2)[:-2]
        self.rfile.readline()
        return body


class Server(ThreadingHTTPServer):
    """An HTTP server that knows what it stands in for."""

    daemon_threads = True
    fake: "FakeDicomweb"

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: clients hang up."""


Answer = Callable[[Request, str], None]


class FakeDicomweb:
    """Lists and gives films, and takes objects.

    Attributes:
        url: Of the server, while it runs.
        stored: How often each object was taken, and its sender told so.
        listed: Films as QIDO-RS lists them from an offset on.
        listings: How often they were asked for.
        downloads: What is answered when the film of that UID is asked for.
        fetched: How often each was.
    """

    def __init__(self, wrong: tuple[Answer, ...] = (), one_in: int = 3) -> None:
        """Answer wrongly one time in so many, each way in turn; of one, every time."""
        self.url = ""
        self.stored, self.fetched = Counter[str](), Counter[str]()
        self.listed: Callable[[int], list[object]] = lambda offset: []
        self.listings, self.downloads = 0, dict[str, Answer]()
        self._wrong, self._right = cycle(wrong), cycle(RIGHT)
        self._one_in, self._asked, self._lock = one_in if wrong else 0, count(), threading.Lock()

    def next_answer(self) -> Answer:
        """Return how the next object is answered."""
        with self._lock:
            is_wrong = self._one_in and next(self._asked) % self._one_in == 0
            return next(self._wrong if is_wrong else self._right)

    @contextmanager
    def running(self) -> Iterator["FakeDicomweb"]:
        """Listen."""
        with Server(("127.0.0.1", 0), Request) as server:
            server.fake = self
            self.url = f"http://127.0.0.1:{server.server_port}"
            thread = threading.Thread(target=server.serve_forever, args=(0.05,))
            thread.start()
            try:
                yield self
            finally:
                server.shutdown()
                thread.join()


def _items(uid: str, reason: object = None) -> dict[str, object]:
    item: dict[str, object] = {"00081155": {"vr": "UI", "Value": [uid]}}
    if reason is not None:
        item["00081197"] = {"vr": "US", "Value": [reason]}
    return {"vr": "SQ", "Value": [item]}


def says(content: object, status: int = 200) -> Answer:
    """Return an answer of JSON."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return lambda request, uid: request.say(status, body, JSON)


def fails(reason: object = None, status: int = 200) -> Answer:
    """Return an answer that lists the object as failed."""
    return lambda request, uid: request.say(
        status, json.dumps({"00081198": _items(uid, reason)}).encode(), JSON
    )


def stores(request: Request, uid: str) -> None:
    """List the object as stored."""
    request.say(200, json.dumps({"00081199": _items(uid)}).encode(), JSON)


def stores_in_xml(request: Request, uid: str) -> None:
    """List the object as stored, in XML."""
    value = f'<DicomAttribute tag="00081155" vr="UI" keyword="ReferencedSOPInstanceUID"><Value number="1">{uid}</Value></DicomAttribute>'  # noqa: E501
    items = f'<Item number="1">{value}</Item>'
    sequence = f'<DicomAttribute tag="00081199" vr="SQ" keyword="ReferencedSOPSequence">{items}</DicomAttribute>'  # noqa: E501
    request.say(200, f"<NativeDicomModel>{sequence}</NativeDicomModel>".encode(), XML)


RIGHT: tuple[Answer, ...] = (stores, stores_in_xml)
WRONG: dict[str, Answer] = {
    "a page": lambda request, uid: request.say(200, PAGE, "text/html"),
    "a redirect": lambda request, uid: request.say(302, Location="/login"),
    "nothing": lambda request, uid: request.say(200),
    "nothing, of no kind of content": lambda request, uid: request.say(202, b"{}"),
    "broken XML": lambda request, uid: request.say(200, b"<NativeDicomModel><", XML),
    "XML of another kind": lambda request, uid: request.say(200, b"<a><b/></a>", XML),
    "broken JSON": says(b"{"),
    "JSON of another kind": says([1]),
    "a null": says(None),
    "no list": says({}),
    "another object": says({"00081199": _items(OTHER)}),
    "a failure without a reason": fails(),
    "a failure with an odd reason": fails("many"),
    "a failure": fails(0x0110),
    "a conflict": fails(0x0110, 409),
    "no room": fails(0xA700, 409),
    "a fault": lambda request, uid: request.say(500, PAGE, "text/html"),
    "too many requests": lambda request, uid: request.say(503),
    "no answer": lambda request, uid: request.connection.close(),
    "half an answer": lambda request, uid: request.say(200, b"{", JSON, Content_Length="99"),
}


def film_entry(film: bytes) -> dict[str, object]:
    """Return a film as QIDO-RS lists it."""
    header = pydicom.dcmread(io.BytesIO(film), stop_before_pixels=True)
    uids = {
        "0020000D": header.StudyInstanceUID,
        "0020000E": header.SeriesInstanceUID,
        "00080018": header.SOPInstanceUID,
    }
    return {tag: {"vr": "UI", "Value": [str(uid)]} for tag, uid in uids.items()}


def gives(film: bytes, missing: int = 0) -> Answer:
    """Return an answer of a film, which breaks off so many bytes before its end."""
    kind = 'multipart/related; type="application/dicom"; boundary=b'
    body = b"--b\r\nContent-Type: application/dicom\r\n\r\n" + film + b"\r\n--b--\r\n"
    length = str(len(body))
    part = body[: len(body) - missing]
    return lambda request, uid: request.say(200, part, kind, Content_Length=length)
