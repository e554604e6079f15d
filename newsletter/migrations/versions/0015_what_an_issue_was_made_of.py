"""Of which sources an issue was made."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("issues", sa.Column("sources", sa.JSON(), server_default="[]", nullable=False))


def downgrade() -> None:
    op.drop_column("issues", "sources")
