"""Databases of earlier releases."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from funcx_core.service.store.additions import add_missing


def tables(*columns: sa.Column, more: bool = False) -> sa.MetaData:
    metadata = sa.MetaData()
    sa.Table("things", metadata, sa.Column("thing_id", sa.Text, primary_key=True), *columns)
    if more:
        sa.Table("others", metadata, sa.Column("other_id", sa.Text, primary_key=True))
    return metadata


@pytest.fixture
def connection():
    engine = sa.create_engine("sqlite://")
    with engine.begin() as connection:
        yield connection
    engine.dispose()


def test_new_tables_and_columns_are_added_and_old_rows_keep_their_values(connection):
    add_missing(connection, tables())
    connection.exec_driver_sql("INSERT INTO things VALUES ('a')")
    now = tables(
        sa.Column("public", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("note", sa.Text, index=True),
        more=True,
    )
    assert add_missing(connection, now) == ["things.public", "things.note"]
    assert connection.execute(sa.select(now.tables["things"])).all() == [("a", False, None)]
    assert set(sa.inspect(connection).get_table_names()) == {"things", "others"}
    assert sa.inspect(connection).get_indexes("things")


def test_nothing_is_done_twice(connection):
    now = tables(sa.Column("note", sa.Text, index=True))
    add_missing(connection, now)
    assert add_missing(connection, now) == []


def test_a_column_without_a_value_for_old_rows_is_refused(connection):
    add_missing(connection, tables())
    with pytest.raises(ValueError, match=r"things\.size cannot be added"):
        add_missing(connection, tables(sa.Column("size", sa.Integer, nullable=False)))
