"""Numbers of mail to us that are never given twice.

SQLite gave the number of the last one again once that was forgotten, and a new letter was taken for one that was passed on.
"""

from alembic import op

revision = '0008'
down_revision = '0007'
branch_labels = None
depends_on = None


def _number(*, again: bool) -> None:
    """Copy the table into one that does, or does not, give a number a second time."""
    if op.get_bind().dialect.name == 'sqlite':
        with op.batch_alter_table('inbound_mails', recreate='always', table_kwargs={'sqlite_autoincrement': not again}):
            pass


def upgrade() -> None:
    _number(again=False)


def downgrade() -> None:
    _number(again=True)
