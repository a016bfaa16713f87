"""Run the revisions in `versions` on the connection that `service.audit.database` hands over.

To change the table: change it in `service/audit/database.py`, and add the next file to `versions`,
`v2_<change>.py` with `down_revision = "v1"`. A test compares the two.
"""

from alembic import context

from service.audit.database import METADATA, VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    version_table=VERSION_TABLE,
)
context.run_migrations()
