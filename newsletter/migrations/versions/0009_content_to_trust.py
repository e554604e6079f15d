"""Content a reader can trust: what each source said, tries at summaries, review of issues, remarks, administrators."""

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = '0009'
down_revision = '0008'
branch_labels = None
depends_on = None

FORMER = (
    'digest', 'confirm', 'welcome', 'goodbye', 'already-subscribed', 'preferences', 'my-data', 'change-of-address', 'new-address',
    'help', 'forward', 'alarm',
)


def _kinds(kinds):
    """Change what a delivery's kind may be; SQLite copies the table for it."""
    with op.batch_alter_table('deliveries', schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f('ck_deliveries_kind'), type_='check')
        batch_op.create_check_constraint(batch_op.f('ck_deliveries_kind'), sa.column('kind').in_(kinds))


def upgrade() -> None:
    op.create_table('admins',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('name', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('password_hash', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('created_at', sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
    sa.Column('logged_in_at', sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_admins')),
    sa.UniqueConstraint('name', name=op.f('uq_admins_name'))
    )
    op.create_table('admin_sessions',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('token_hash', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('admin_id', sa.Integer(), nullable=False),
    sa.Column('created_at', sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
    sa.Column('seen_at', sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
    sa.Column('expires_at', sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
    sa.ForeignKeyConstraint(['admin_id'], ['admins.id'], name=op.f('fk_admin_sessions_admin_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_admin_sessions')),
    sa.UniqueConstraint('token_hash', name=op.f('uq_admin_sessions_token_hash'))
    )
    with op.batch_alter_table('admin_sessions', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_admin_sessions_admin_id'), ['admin_id'], unique=False)
    op.create_table('paper_records',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('paper_id', sa.Integer(), nullable=False),
    sa.Column('source', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('said', sa.JSON(), nullable=False),
    sa.Column('seen_at', sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
    sa.ForeignKeyConstraint(['paper_id'], ['papers.id'], name=op.f('fk_paper_records_paper_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_paper_records')),
    sa.UniqueConstraint('paper_id', 'source', name=op.f('uq_paper_records_paper_id_source'))
    )
    op.create_table('summary_attempts',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('paper_id', sa.Integer(), nullable=False),
    sa.Column('language', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('model', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('prompt_version', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('status', sa.Enum('running', 'made', 'refused', 'failed', name='status', native_enum=False, create_constraint=True, length=32), nullable=False),
    sa.Column('reasons', sa.JSON(), nullable=False),
    sa.Column('calls', sa.Integer(), nullable=False),
    sa.Column('input_tokens', sa.Integer(), nullable=False),
    sa.Column('output_tokens', sa.Integer(), nullable=False),
    sa.Column('cost_micros', sa.Integer(), nullable=False),
    sa.Column('began_at', sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
    sa.Column('lease_until', sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True),
    sa.Column('ended_at', sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True),
    sa.ForeignKeyConstraint(['paper_id'], ['papers.id'], name=op.f('fk_summary_attempts_paper_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_summary_attempts'))
    )
    with op.batch_alter_table('summary_attempts', schema=None) as batch_op:
        batch_op.create_index('ix_summary_attempts_began_at', ['began_at'], unique=False)
        batch_op.create_index('ix_summary_attempts_paper_id_language', ['paper_id', 'language'], unique=False)
        batch_op.create_index('uq_summary_attempts_paper_id_language', ['paper_id', 'language'], unique=True, sqlite_where=sa.text("status = 'running'"), postgresql_where=sa.text("status = 'running'"))

    op.create_table('issue_edits',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('issue_id', sa.Integer(), nullable=False),
    sa.Column('paper_id', sa.Integer(), nullable=True),
    sa.Column('editor', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('action', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('before', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('after', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('at', sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
    sa.ForeignKeyConstraint(['issue_id'], ['issues.id'], name=op.f('fk_issue_edits_issue_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['paper_id'], ['papers.id'], name=op.f('fk_issue_edits_paper_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_issue_edits'))
    )
    with op.batch_alter_table('issue_edits', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_issue_edits_issue_id'), ['issue_id'], unique=False)

    op.create_table('remarks',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('issue_id', sa.Integer(), nullable=False),
    sa.Column('paper_id', sa.Integer(), nullable=False),
    sa.Column('summary_id', sa.Integer(), nullable=True),
    sa.Column('content', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('reply_to', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('ip', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('made_at', sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
    sa.Column('closed_at', sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True),
    sa.Column('closed_by', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.ForeignKeyConstraint(['issue_id'], ['issues.id'], name=op.f('fk_remarks_issue_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['paper_id'], ['papers.id'], name=op.f('fk_remarks_paper_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['summary_id'], ['summaries.id'], name=op.f('fk_remarks_summary_id'), ondelete='SET NULL'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_remarks'))
    )
    with op.batch_alter_table('remarks', schema=None) as batch_op:
        batch_op.create_index('ix_remarks_closed_at_id', ['closed_at', 'id'], unique=False)

    with op.batch_alter_table('issue_papers', schema=None) as batch_op:
        batch_op.add_column(sa.Column('pinned', sa.Boolean(), server_default=sa.false(), nullable=False))
        batch_op.add_column(sa.Column('dropped', sa.Boolean(), server_default=sa.false(), nullable=False))

    with op.batch_alter_table('issues', schema=None) as batch_op:
        batch_op.add_column(sa.Column('note', sqlmodel.sql.sqltypes.AutoString(), server_default='', nullable=False))
        batch_op.add_column(sa.Column('review_until', sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True))
        batch_op.add_column(sa.Column('approved_at', sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True))
        batch_op.add_column(sa.Column('approved_by', sqlmodel.sql.sqltypes.AutoString(), server_default='', nullable=False))

    with op.batch_alter_table('newsletters', schema=None) as batch_op:
        batch_op.add_column(sa.Column('weekly_papers', sa.Integer(), server_default='20', nullable=False))
        batch_op.create_check_constraint('weekly_papers', 'weekly_papers BETWEEN 1 AND 200')
        batch_op.add_column(sa.Column('patience_hours', sa.Integer(), server_default='6', nullable=False))
        batch_op.add_column(sa.Column('catch_up', sa.Enum('each', 'merged', name='catch_up', native_enum=False, create_constraint=True, length=32), server_default='each', nullable=False))
        batch_op.add_column(sa.Column('review', sa.Enum('automatic', 'then-send', 'then-hold', name='review', native_enum=False, create_constraint=True, length=32), server_default='automatic', nullable=False))
        batch_op.add_column(sa.Column('review_hours', sa.Integer(), server_default='6', nullable=False))
        batch_op.add_column(sa.Column('no_match', sa.Enum('skip', 'short', name='no_match', native_enum=False, create_constraint=True, length=32), server_default='skip', nullable=False))

    with op.batch_alter_table('papers', schema=None) as batch_op:
        batch_op.add_column(sa.Column('categories', sa.JSON(), server_default='[]', nullable=False))

    op.add_column('subscriptions', sa.Column('match_first', sa.Boolean(), server_default=sa.false(), nullable=False))

    _kinds((*FORMER, 'remark'))


def downgrade() -> None:
    op.execute("DELETE FROM deliveries WHERE kind = 'remark'")
    _kinds(FORMER)

    op.drop_column('subscriptions', 'match_first')

    with op.batch_alter_table('papers', schema=None) as batch_op:
        batch_op.drop_column('categories')

    with op.batch_alter_table('newsletters', schema=None) as batch_op:
        batch_op.drop_column('no_match')
        batch_op.drop_column('review_hours')
        batch_op.drop_column('review')
        batch_op.drop_column('catch_up')
        batch_op.drop_column('patience_hours')
        batch_op.drop_constraint(batch_op.f('ck_newsletters_weekly_papers'), type_='check')
        for name in ('catch_up', 'review', 'no_match'):
            batch_op.drop_constraint(batch_op.f(f'ck_newsletters_{name}'), type_='check')
        batch_op.drop_column('weekly_papers')

    with op.batch_alter_table('issues', schema=None) as batch_op:
        batch_op.drop_column('approved_by')
        batch_op.drop_column('approved_at')
        batch_op.drop_column('review_until')
        batch_op.drop_column('note')

    with op.batch_alter_table('issue_papers', schema=None) as batch_op:
        batch_op.drop_column('dropped')
        batch_op.drop_column('pinned')

    with op.batch_alter_table('remarks', schema=None) as batch_op:
        batch_op.drop_index('ix_remarks_closed_at_id')

    op.drop_table('remarks')
    with op.batch_alter_table('issue_edits', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_issue_edits_issue_id'))

    op.drop_table('issue_edits')
    with op.batch_alter_table('summary_attempts', schema=None) as batch_op:
        batch_op.drop_index('uq_summary_attempts_paper_id_language', sqlite_where=sa.text("status = 'running'"), postgresql_where=sa.text("status = 'running'"))
        batch_op.drop_index('ix_summary_attempts_paper_id_language')
        batch_op.drop_index('ix_summary_attempts_began_at')

    op.drop_table('summary_attempts')
    op.drop_table('paper_records')
    op.drop_table('admin_sessions')
    op.drop_table('admins')
