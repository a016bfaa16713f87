"""Keys for servers that ask for one."""

from pathlib import Path

from service.commands.key import add_key, new_key


def new_token(file: Path, id: str, *, admin: bool = False, rate: int | None = None) -> str:
    """Add a key to a file and return it."""
    token, key = new_key(id, admin=admin, requests_per_minute=rate)
    add_key(file, key)
    return token


def key_in(file: Path, id: str, *, admin: bool = False, rate: int | None = None) -> dict[str, str]:
    """Add a key to a file and return the header that sends it."""
    return {"authorization": f"Bearer {new_token(file, id, admin=admin, rate=rate)}"}
