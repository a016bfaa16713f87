"""Rows for the audit trail, as a server would write them."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from service.audit.rows import AuditQuery, AuditRow, KeptRow
from service.audit.trail import AuditTrail, open_audit_trail

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
EVERYTHING = AuditQuery(limit=1000)


def row(**changes: Any) -> AuditRow:
    """Return a row with some fields changed."""
    fields: dict[str, Any] = {
        "time": NOON,
        "request_id": "r1",
        "key_id": "ward",
        "verb": "predict",
        "model": "tiny",
        "version": "1.2.3",
        "model_sha256": 64 * "a",
        "film_sha256": 64 * "b",
        "probabilities": {"normal": 0.25, "pneumonia": 0.75},
        "decisions": {"normal": False, "pneumonia": True},
        "in_distribution": True,
        "refusals": [],
        "is_decided": True,
        "prediction_set": ["pneumonia"],
        "distance": 4.0,
    }
    return AuditRow(**fields | changes)


def open_file(path: Path, days: int | None = None, **options: Any) -> AuditTrail:
    """Return the audit trail in a file."""
    return open_audit_trail(SecretStr(f"sqlite:///{path}"), days, **options)


def request_ids(trail: AuditTrail) -> list[str]:
    """Return those of the first thousand rows."""
    return [kept.request_id for kept in trail.rows(EVERYTHING)]


def without_id(kept: KeptRow) -> AuditRow:
    """Return a row as it was written."""
    return AuditRow(**kept.model_dump(exclude={"id"}))
