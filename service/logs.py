"""How the server logs: text for people, JSON for machines; never what stands in a film."""

from typing import Literal

LogFormat = Literal["text", "json"]
