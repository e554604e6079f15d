"""One issue a local day: due times for those whose day is taken, and issues that catch up.

The due times there are hold for everybody, as they did.
"""

from datetime import UTC, datetime

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = '0004'
down_revision = '0003'
branch_labels = None
depends_on = None

KEY = ('issue_id', 'zone', 'send_hour')


def upgrade() -> None:
    with op.batch_alter_table('issues', schema=None) as batch_op:
        batch_op.add_column(sa.Column('catch_up', sa.Boolean(), server_default=sa.false(), nullable=False))

    with op.batch_alter_table('due_times', schema=None) as batch_op:
        batch_op.add_column(sa.Column('last_since', sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True))
        batch_op.add_column(sa.Column('last_before', sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True))

    due_times = sa.table(
        'due_times',
        sa.column('last_since', sqlmodel.sql.sqltypes.UTCDateTime()),
        sa.column('last_before', sqlmodel.sql.sqltypes.UTCDateTime()),
    )
    everybody = {'last_since': datetime(1970, 1, 1, tzinfo=UTC), 'last_before': datetime(9999, 1, 1, tzinfo=UTC)}
    op.execute(due_times.update().values(everybody))

    with op.batch_alter_table('due_times', schema=None) as batch_op:
        batch_op.alter_column('last_since', existing_type=sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False)
        batch_op.alter_column('last_before', existing_type=sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False)
        batch_op.drop_constraint(batch_op.f('uq_due_times_issue_id_zone_send_hour'), type_='unique')
        batch_op.create_unique_constraint(batch_op.f('uq_due_times_issue_id_zone_send_hour_last_since'), [*KEY, 'last_since'])


def downgrade() -> None:
    op.execute(sa.text("DELETE FROM due_times WHERE last_since > '1970-01-02'"))
    with op.batch_alter_table('due_times', schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f('uq_due_times_issue_id_zone_send_hour_last_since'), type_='unique')
        batch_op.create_unique_constraint(batch_op.f('uq_due_times_issue_id_zone_send_hour'), KEY)
        batch_op.drop_column('last_before')
        batch_op.drop_column('last_since')

    with op.batch_alter_table('issues', schema=None) as batch_op:
        batch_op.drop_column('catch_up')
