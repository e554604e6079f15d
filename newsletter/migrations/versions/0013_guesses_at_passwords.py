"""Log-ins that failed are counted in the database: for all processes, and without Redis."""

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = '0013'
down_revision = '0012'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('failed_log_ins',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('subject', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('at', sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_failed_log_ins'))
    )
    with op.batch_alter_table('failed_log_ins', schema=None) as batch_op:
        batch_op.create_index('ix_failed_log_ins_at', ['at'], unique=False)
        batch_op.create_index('ix_failed_log_ins_subject_at', ['subject', 'at'], unique=False)


def downgrade() -> None:
    op.drop_table('failed_log_ins')
