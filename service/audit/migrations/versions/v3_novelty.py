"""Add how unlike the training films' a film's acquisition is."""

import sqlalchemy as sa
from alembic import op

revision = "v3"
down_revision = "v2"


def upgrade() -> None:
    """Add the column, which stays null in the rows there are."""
    op.add_column("audit", sa.Column("novelty", sa.Double(), nullable=True))
