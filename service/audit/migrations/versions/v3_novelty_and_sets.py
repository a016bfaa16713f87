"""Add a film's novelty, whether it is decided, and the classes that could not be excluded."""

import sqlalchemy as sa
from alembic import op

revision = "v3"
down_revision = "v2"


def upgrade() -> None:
    """Add the columns, which stay null in the rows there are."""
    op.add_column("audit", sa.Column("novelty", sa.Double(), nullable=True))
    op.add_column("audit", sa.Column("is_decided", sa.Boolean(), nullable=True))
    op.add_column("audit", sa.Column("prediction_set", sa.JSON(), nullable=True))
