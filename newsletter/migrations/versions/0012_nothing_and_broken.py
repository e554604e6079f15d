"""Why an issue is empty, what a week's best left out, since when a source fails, and whether its silence is to be believed."""

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = '0012'
down_revision = '0011'
branch_labels = None
depends_on = None

EMPTINESS = ('', 'nothing', 'told', 'source-failed', 'unread', 'merged')


def upgrade() -> None:
    with op.batch_alter_table('issues', schema=None) as batch_op:
        batch_op.add_column(sa.Column('emptiness', sa.Enum(*EMPTINESS, name='emptiness', native_enum=False, create_constraint=True, length=32), server_default='', nullable=False))
        batch_op.add_column(sa.Column('left_out', sa.JSON(), server_default='[]', nullable=False))

    op.add_column('collections', sa.Column('failing_since', sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True))
    op.add_column('collections', sa.Column('doubtful', sa.Boolean(), server_default=sa.false(), nullable=False))


def downgrade() -> None:
    op.drop_column('collections', 'doubtful')
    op.drop_column('collections', 'failing_since')

    with op.batch_alter_table('issues', schema=None) as batch_op:
        batch_op.drop_column('left_out')
        batch_op.drop_constraint(batch_op.f('ck_issues_emptiness'), type_='check')
        batch_op.drop_column('emptiness')
