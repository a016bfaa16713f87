"""Add why a film is refused."""

import sqlalchemy as sa
from alembic import op

revision = "v2"
down_revision = "v1"


def upgrade() -> None:
    """Add the column, which stays null in the rows there are."""
    op.add_column("audit", sa.Column("refusals", sa.JSON(), nullable=True))
