"""Brings a database of an earlier release up to the tables of this one: what later releases add is only ever added.

New tables are made, new columns are appended; a new column is nullable or has a default that is right for old rows.
A change that is not an addition needs another `SCHEMA_VERSION` and a step of its own.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

DROPPED_INDEXES: Final = ("tasks_open",)
"""Of earlier releases; what has taken their place has another name."""


def add_missing(connection: sa.Connection, metadata: sa.MetaData) -> list[str]:
    """Make missing tables, columns and indexes; return the names of added columns as ``table.column``."""
    known = set(sa.inspect(connection).get_table_names())
    added = [
        f"{table.name}.{column.name}"
        for table in metadata.sorted_tables
        if table.name in known
        for column in _add_columns(connection, table)
    ]
    metadata.create_all(connection)
    for table in metadata.sorted_tables:
        for index in table.indexes:
            index.create(connection, checkfirst=True)
    for name in DROPPED_INDEXES:
        connection.exec_driver_sql(f"DROP INDEX IF EXISTS {name}")
    return added


def _add_columns(connection: sa.Connection, table: sa.Table) -> list[sa.Column[object]]:
    present = {column["name"] for column in sa.inspect(connection).get_columns(table.name)}
    missing = [column for column in table.columns if column.name not in present]
    for column in missing:
        if not column.nullable and column.server_default is None:
            raise ValueError(f"{table.name}.{column.name} cannot be added: it has no default for old rows.")
        definition = sa.schema.CreateColumn(column).compile(dialect=connection.dialect)
        connection.exec_driver_sql(f"ALTER TABLE {table.name} ADD COLUMN {definition}")
    return missing
