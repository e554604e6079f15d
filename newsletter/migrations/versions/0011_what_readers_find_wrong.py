"""Remarks say what they are about: a fact, the paper, the language."""

import sqlalchemy as sa
from alembic import op

revision = '0011'
down_revision = '0010'
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table('remarks', schema=None) as batch_op:
        batch_op.add_column(sa.Column('matter', sa.Enum('fact', 'paper', 'language', 'other', name='matter', native_enum=False, create_constraint=True, length=32), server_default='other', nullable=False))


def downgrade() -> None:
    with op.batch_alter_table('remarks', schema=None) as batch_op:
        batch_op.drop_column('matter')
        batch_op.drop_constraint(batch_op.f('ck_remarks_matter'), type_='check')
