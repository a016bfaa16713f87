"""Check a real server against its own OpenAPI document, with schemathesis.

    python benchmarks/contract.py [--cases 1000] [--seed 1]

The server has an audit trail and requires keys. At least `--cases` requests are sent with an
admin's key, with films and zips, sound and damaged, where the document says "binary"; then some
with an unknown key. The exit status is 1 if an answer had a 5xx that the document does not list, or
a status, media type, header or body that it does not describe, or if there were too few cases.
"""

import argparse
import json
import math
import os
import re
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

from start_up import free_port
from throughput import serving

from service.commands.key import add_key, new_key

HERE = Path(__file__).parent.resolve()
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)
CASES_WITHOUT_KEY = 5
"""Of each operation: all get the same answer."""


def operations(address: str) -> int:
    """Return how many operations the document lists."""
    with urllib.request.urlopen(f"{address}/openapi.json") as answer:
        return sum(len(methods) for methods in json.load(answer)["paths"].values())


def contract_kept(address: str, token: str, cases: int, seed: int) -> tuple[bool, int]:
    """Print schemathesis' report; return whether all answers were as described, and their number.

    Args:
        address: The server's.
        token: API key to send.
        cases: Most requests of one operation in one of schemathesis' phases.
        seed: Of schemathesis' choices.
    """
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{address}/openapi.json"]
    command += ["--checks", ",".join(CHECKS), "--max-examples", str(cases), "--seed", str(seed)]
    command += ["--continue-on-failure", "--header", f"Authorization: Bearer {token}"]
    paths = os.pathsep.join((str(HERE), str(HERE.parent)))
    environment = os.environ | {"SCHEMATHESIS_HOOKS": "contract_bodies", "PYTHONPATH": paths}
    with tempfile.TemporaryDirectory() as folder:  # schemathesis leaves its memory there
        done = subprocess.run(
            command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True
        )
    print(done.stdout)
    generated = re.search(r"(\d+) generated", done.stdout)
    return done.returncode == 0, int(generated[1]) if generated else 0


def main() -> int:
    """Print both reports; return 1 if the contract was broken."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as folder:
        keys = Path(folder) / "keys.toml"
        token, key = new_key("contract", admin=True, requests_per_minute=None)
        add_key(keys, key)
        os.environ |= {
            "CXR_AUTH": "true",
            "CXR_API_KEYS_FILE": str(keys),
            "CXR_AUDIT_URL": f"sqlite:///{folder}/audit.sqlite",
        }
        command = [sys.executable, "-m", "service", "--port", str(port)]
        with serving(command, port, "/health/ready"):
            each = math.ceil(options.cases / operations(address))
            kept, count = contract_kept(address, token, each, options.seed)
            kept_out, unknown = contract_kept(address, "unknown", CASES_WITHOUT_KEY, options.seed)
    print(f"{count} cases with a key, {unknown} without; kept: {kept and kept_out}")
    return int(not (kept and kept_out and count >= options.cases))


if __name__ == "__main__":
    sys.exit(main())
