"""Deliveries keep the number of a subscription that is gone: no index has to find them when one is deleted.

No id is given twice, so the number means nobody else. Each change of a delivery's state wrote the index once more.
"""

from alembic import op

revision = '0010'
down_revision = '0009'
branch_labels = None
depends_on = None

KEY = 'fk_deliveries_subscription_id'


def upgrade() -> None:
    op.drop_index('ix_deliveries_subscription_id', 'deliveries')
    with op.batch_alter_table('deliveries', schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f(KEY), type_='foreignkey')


def downgrade() -> None:
    op.execute(
        'UPDATE deliveries SET subscription_id = NULL'
        ' WHERE subscription_id IS NOT NULL AND subscription_id NOT IN (SELECT id FROM subscriptions)'
    )
    with op.batch_alter_table('deliveries', schema=None) as batch_op:
        batch_op.create_foreign_key(batch_op.f(KEY), 'subscriptions', ['subscription_id'], ['id'], ondelete='SET NULL')
    op.create_index('ix_deliveries_subscription_id', 'deliveries', ['subscription_id'])
