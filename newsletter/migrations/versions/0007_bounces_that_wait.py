"""The bounces that nobody has looked at yet, found at once however many there are."""

import sqlalchemy as sa
from alembic import op

revision = '0007'
down_revision = '0006'
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table('bounces', schema=None) as batch_op:
        batch_op.create_index('ix_bounces_waiting', ['id'], unique=False, sqlite_where=sa.text("action = ''"), postgresql_where=sa.text("action = ''"))


def downgrade() -> None:
    with op.batch_alter_table('bounces', schema=None) as batch_op:
        batch_op.drop_index('ix_bounces_waiting')
