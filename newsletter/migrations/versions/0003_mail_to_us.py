"""Mail that is sent to us, reports of failed mail, changes of address, and the kinds of mail that answer them."""

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = '0003'
down_revision = '0002'
branch_labels = None
depends_on = None

FORMER = ('digest', 'confirm', 'welcome', 'goodbye', 'already-subscribed', 'alarm')
FRESH = ('preferences', 'my-data', 'change-of-address', 'new-address', 'help', 'forward')


def _kinds(kinds):
    """Change what a delivery's kind may be; SQLite copies the table for it."""
    with op.batch_alter_table('deliveries', schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f('ck_deliveries_kind'), type_='check')
        batch_op.create_check_constraint(batch_op.f('ck_deliveries_kind'), sa.column('kind').in_(kinds))


def upgrade() -> None:
    op.create_table('inbound_mails',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('content_key', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('status', sa.Enum('received', 'done', 'forwarded', 'quarantined', name='status', native_enum=False, create_constraint=True, length=32), nullable=False),
    sa.Column('purpose', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('reason', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('peer', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('sender', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('recipient', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('subject', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('size', sa.Integer(), nullable=False),
    sa.Column('content', sa.LargeBinary(), nullable=True),
    sa.Column('received_at', sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
    sa.Column('handled_at', sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_inbound_mails')),
    sa.UniqueConstraint('content_key', name=op.f('uq_inbound_mails_content_key'))
    )
    with op.batch_alter_table('inbound_mails', schema=None) as batch_op:
        batch_op.create_index('ix_inbound_mails_received_at', ['received_at'], unique=False, sqlite_where=sa.text('content IS NOT NULL'), postgresql_where=sa.text('content IS NOT NULL'))
        batch_op.create_index('ix_inbound_mails_status_id', ['status', 'id'], unique=False)

    op.create_table('address_changes',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('subscriber_id', sa.Integer(), nullable=False),
    sa.Column('old_address', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('new_address', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('new_address_key', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('requested_at', sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
    sa.Column('requested_ip', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('expires_at', sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
    sa.Column('old_agreed_at', sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True),
    sa.Column('new_agreed_at', sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True),
    sa.Column('done_at', sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True),
    sa.ForeignKeyConstraint(['subscriber_id'], ['subscribers.id'], name=op.f('fk_address_changes_subscriber_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_address_changes'))
    )
    with op.batch_alter_table('address_changes', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_address_changes_new_address_key'), ['new_address_key'], unique=False)
        batch_op.create_index(batch_op.f('ix_address_changes_subscriber_id'), ['subscriber_id'], unique=False)

    for name in ('suppression_key', 'source', 'report_key', 'action'):
        op.add_column('bounces', sa.Column(name, sqlmodel.sql.sqltypes.AutoString(), nullable=False, server_default=''))
    op.execute("UPDATE bounces SET report_key = 'former:' || id")
    with op.batch_alter_table('bounces', schema=None) as batch_op:
        for name in ('suppression_key', 'source', 'report_key', 'action'):
            batch_op.alter_column(name, server_default=None)
        batch_op.create_index('ix_bounces_suppression_key_received_at', ['suppression_key', 'received_at'], unique=False)
        batch_op.create_unique_constraint(batch_op.f('uq_bounces_report_key'), ['report_key'])

    with op.batch_alter_table('consents', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_consents_requested_at'), ['requested_at'], unique=False)

    with op.batch_alter_table('subscriptions', schema=None) as batch_op:
        batch_op.add_column(sa.Column('keywords', sa.JSON(), server_default='[]', nullable=False))

    _kinds(FORMER + FRESH)


def downgrade() -> None:
    _kinds(FORMER)

    with op.batch_alter_table('subscriptions', schema=None) as batch_op:
        batch_op.drop_column('keywords')

    with op.batch_alter_table('consents', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_consents_requested_at'))

    with op.batch_alter_table('bounces', schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f('uq_bounces_report_key'), type_='unique')
        batch_op.drop_index('ix_bounces_suppression_key_received_at')
        for name in ('suppression_key', 'source', 'report_key', 'action'):
            batch_op.drop_column(name)

    op.drop_table('address_changes')
    op.drop_table('inbound_mails')
