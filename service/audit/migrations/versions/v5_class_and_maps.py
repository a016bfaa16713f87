"""Add the predicted class, and the status of the maps that were asked for."""

import sqlalchemy as sa
from alembic import op

revision = "v5"
down_revision = "v4"


def upgrade() -> None:
    """Add the columns, which stay null in the rows there are."""
    op.add_column("audit", sa.Column("predicted_class", sa.Text(), nullable=True))
    op.add_column("audit", sa.Column("map_statuses", sa.JSON(), nullable=True))
