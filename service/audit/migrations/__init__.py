"""How the audit trail's table came to be; Alembic runs what a database lacks when it is opened."""
