"""What a request asks for: how often, and in which language; and ids of readers that are never given twice.

Without AUTOINCREMENT SQLite gives the id of the last row again once that is deleted, and links in old mails would be
another person's.
"""

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = '0006'
down_revision = '0005'
branch_labels = None
depends_on = None

TABLES = ('subscribers', 'consents', 'address_changes', 'subscriptions')


def upgrade() -> None:
    with op.batch_alter_table('consents', schema=None) as batch_op:
        batch_op.add_column(sa.Column('cadences', sa.JSON(), server_default='{}', nullable=False))
        batch_op.add_column(sa.Column('language', sqlmodel.sql.sqltypes.AutoString(), server_default='', nullable=False))
    op.create_index('ix_deliveries_subscription_id', 'deliveries', ['subscription_id'])
    _number(again=False)


def _number(*, again: bool) -> None:
    """Copy the tables into such as do, or do not, give an id a second time."""
    if op.get_bind().dialect.name == 'sqlite':
        for table in TABLES:
            with op.batch_alter_table(table, recreate='always', table_kwargs={'sqlite_autoincrement': not again}):
                pass


def downgrade() -> None:
    op.drop_index('ix_deliveries_subscription_id', 'deliveries')
    _number(again=True)
    with op.batch_alter_table('consents', schema=None) as batch_op:
        batch_op.drop_column('language')
        batch_op.drop_column('cadences')
