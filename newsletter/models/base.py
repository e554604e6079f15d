"""What all tables share: names of constraints, enumerations as words, JSON, large ids."""

from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, BigInteger, Column, Enum, Integer, MetaData
from sqlmodel import SQLModel

SQLModel.metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def enum_column(enum: type[StrEnum], name: str, **options: Any) -> Any:  # noqa: ANN401 -- passed on to Column
    """Store an enumeration as its words with a CHECK, never as the database's own type (painful to migrate)."""
    return Column(
        Enum(
            enum,
            name=name,
            native_enum=False,
            create_constraint=True,
            length=32,
            values_callable=lambda kind: [item.value for item in kind],
        ),
        nullable=False,
        **options,
    )


def big_integer() -> Any:  # noqa: ANN401 -- SQLModel's own type of sa_type
    """Return the type of an id of which there may be billions; SQLite numbers rows by themselves only as INTEGER."""
    return BigInteger().with_variant(Integer(), "sqlite")


def json_column(**options: Any) -> Any:  # noqa: ANN401 -- passed on to Column
    """Store lists and objects, never NULL."""
    return Column(JSON, nullable=False, **options)
