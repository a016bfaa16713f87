"""Make an API key and write it to the key file: `cxr key`."""

import argparse
import json
import secrets
import sys
from pathlib import Path

from pydantic import ValidationError

from service.http.keys import KEY_BYTES, ApiKey, _hash, _parsed, _rules


def new_key(id: str, *, admin: bool, requests_per_minute: int | None) -> tuple[str, ApiKey]:
    """Return a new key, and what the file keeps of it.

    Raises:
        ValueError: The id has other characters than letters, digits and `._@-`, or the rate is 0.
    """
    token = secrets.token_urlsafe(KEY_BYTES)
    try:
        return token, ApiKey(
            id=id, sha256=_hash(token), admin=admin, requests_per_minute=requests_per_minute
        )
    except ValidationError as error:
        raise ValueError(_rules(error)) from None


def add_key(path: Path, key: ApiKey) -> None:
    """Append a key to a file, which is made for its owner alone if there is none.

    Raises:
        OSError: It can't be read or written.
        ValueError: It is no key file, or has a key of that id.
    """
    before = path.read_bytes() if path.exists() else b""
    fields = key.model_dump(exclude_defaults=True)
    lines = ["[[keys]]", *(f"{name} = {json.dumps(value)}" for name, value in fields.items())]
    added = ("\n" if before else "") + "\n".join(lines) + "\n"
    _parsed(path, before + added.encode())
    path.touch(mode=0o600)
    with path.open("ab") as file:
        file.write(added.encode())


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("id", metavar="ID", help="what logs and the audit trail call the key")
    parser.add_argument("--file", type=Path, required=True, help="key file to append its hash to")
    parser.add_argument("--admin", action="store_true", help="may reload models, read the audit")
    parser.add_argument(
        "--requests-per-minute", type=int, metavar="N", help="its rate (default: no limit)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Print a new key, once, and keep its hash.

    Raises:
        OSError: The file can't be written.
        ValueError: The id is taken or no id, or the file is no key file.
    """
    token, key = new_key(
        arguments.id, admin=arguments.admin, requests_per_minute=arguments.requests_per_minute
    )
    add_key(arguments.file, key)
    sys.stdout.write(f"{token}\n")
    sys.stderr.write(
        f"This is the only time the key of {key.id} is shown: {arguments.file} keeps its hash.\n"
    )
    return 0
