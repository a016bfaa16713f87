"""A real archive, where Debian's Orthanc is installed."""

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
HTTP_PORT, DICOM_PORT = 8042, 4242
"""Free, since it runs in a network of its own: this Orthanc listens on every address."""
ADDRESS = f"http://127.0.0.1:{HTTP_PORT}"
DICOMWEB = f"{ADDRESS}/dicom-web"
NODE = f"ORTHANC@127.0.0.1:{DICOM_PORT}"


def needs_orthanc() -> pytest.MarkDecorator:
    """Return a mark that skips a test where Orthanc is not installed."""
    missing = not (shutil.which("Orthanc") and PLUGIN.exists() and shutil.which("ip"))
    why = "apt-get install orthanc orthanc-dicomweb iproute2 (they are not installed)"
    return pytest.mark.skipif(missing, reason=why)


@contextmanager
def running_orthanc(folder: Path) -> Iterator[httpx.Client]:
    """Run Orthanc with its storage in `folder`, inside `loopback_only`; yield a client of it."""
    (folder / "orthanc.json").write_text(json.dumps(_configuration(folder)))
    log = (folder / "orthanc.log").open("a")
    command = ["Orthanc", str(folder / "orthanc.json")]
    with log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            with httpx.Client(base_url=ADDRESS, timeout=60) as client:
                _wait_for(client)
                yield client
        finally:
            process.terminate()


def _configuration(folder: Path) -> dict[str, object]:
    return {
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "DicomPort": DICOM_PORT,
        "HttpPort": HTTP_PORT,
        "RemoteAccessAllowed": False,
        "Plugins": [str(PLUGIN)],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
        "DicomAlwaysAllowStore": True,
    }


def _wait_for(client: httpx.Client) -> None:
    for _ in range(300):
        try:
            client.get("/system").raise_for_status()
            return
        except httpx.TransportError:
            time.sleep(0.1)
    raise RuntimeError("Orthanc did not start")
