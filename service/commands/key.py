"""Make an API key and write it to the key file: `cxr key`."""

import argparse
import json
import secrets
import sys
from pathlib import Path

from pydantic import ValidationError

from service.http.keys import KEY_BYTES, ApiKey, broken_rules, hash_of, parsed_keys


def new_key(id: str, *, admin: bool, requests_per_minute: int | None) -> tuple[str, ApiKey]:
    """Make a random API key; return it, and the record of it for the key file.

    Raises:
        ValueError: The id has other characters than letters, digits and `._@-`, or the rate is 0.
    """
    token = secrets.token_urlsafe(KEY_BYTES)
    try:
        return token, ApiKey(
            id=id, sha256=hash_of(token), admin=admin, requests_per_minute=requests_per_minute
        )
    except ValidationError as error:
        raise ValueError(broken_rules(error)) from None


def add_key(path: Path, key: ApiKey) -> None:
    """Append a key to the key file; a new file can be read by its owner only.

    Raises:
        OSError: It can't be read or written.
        ValueError: It is not a key file, or has a key of that id.
    """
    before = path.read_bytes() if path.exists() else b""
    fields = key.model_dump(exclude_defaults=True)
    lines = ["[[keys]]", *(f"{name} = {json.dumps(value)}" for name, value in fields.items())]
    added = ("\n" if before else "") + "\n".join(lines) + "\n"
    parsed_keys(path, before + added.encode())
    path.touch(mode=0o600)
    with path.open("ab") as file:
        file.write(added.encode())


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("id", metavar="ID", help="the key's name in logs and the audit trail")
    parser.add_argument(
        "--file", type=Path, required=True, help="key file that gets the key's hash"
    )
    parser.add_argument(
        "--admin", action="store_true", help="allow it to reload models and read the audit trail"
    )
    parser.add_argument(
        "--requests-per-minute", type=int, metavar="N", help="limit on its requests (default: none)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Print a new key, which is shown only once, and store its hash.

    Raises:
        OSError: The file can't be written.
        ValueError: The id is taken or not valid, or the file is not a key file.
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
