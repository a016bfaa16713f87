"""Add what a model did not see of the film."""

import sqlalchemy as sa
from alembic import op

revision = "v4"
down_revision = "v3"


def upgrade() -> None:
    """Add the column, which stays null in the rows there are."""
    op.add_column("audit", sa.Column("mask", sa.JSON(), nullable=True))
