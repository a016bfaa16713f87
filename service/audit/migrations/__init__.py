"""Alembic revisions of the audit trail's table; opening a database runs those that it lacks."""
