"""The tables. Both SQLite and PostgreSQL can hold them.

What all calls of one submit share is a row of `submits`; so a row of `tasks`, of which there are many, is short.
A task's `lane` is the same for those of one owner and one priority, see `lanes`. Its `position` rises in the order of acceptance, and the tasks of one submit have consecutive positions.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

SCHEMA_VERSION: Final = 1

metadata: Final = sa.MetaData()

_BigInteger = sa.BigInteger().with_variant(sa.Integer(), "sqlite")  # SQLite's row id must be called INTEGER

users = sa.Table(
    "users",
    metadata,
    sa.Column("user_id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("created_at", sa.Float, nullable=False),
)

tokens = sa.Table(
    "tokens",
    metadata,
    sa.Column("digest", sa.Text, primary_key=True),
    sa.Column("user_id", sa.Text, nullable=False),
    sa.Column("label", sa.Text, nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("expires_at", sa.Float),
    sa.Column("revoked", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("scopes", sa.Text, nullable=False, server_default="read submit endpoints tokens"),
    sa.Column("last_used_at", sa.Float),
    sa.Column("client_id", sa.Text),
)

clients = sa.Table(
    "clients",
    metadata,
    sa.Column("client_id", sa.Text, primary_key=True),
    sa.Column("user_id", sa.Text, nullable=False, index=True),
    sa.Column("label", sa.Text, nullable=False),
    sa.Column("secret_digest", sa.Text, nullable=False),
    sa.Column("scopes", sa.Text, nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
)

accounts = sa.Table(
    "accounts",
    metadata,
    sa.Column("provider", sa.Text, primary_key=True),
    sa.Column("subject", sa.Text, primary_key=True),
    sa.Column("user_id", sa.Text, nullable=False),
)

bodies = sa.Table(
    "function_bodies",
    metadata,
    sa.Column("body_hash", sa.LargeBinary, primary_key=True),
    sa.Column("body", sa.LargeBinary, nullable=False),
)

functions = sa.Table(
    "functions",
    metadata,
    sa.Column("function_id", sa.Text, primary_key=True),
    sa.Column("owner_id", sa.Text, nullable=False, index=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("body_hash", sa.LargeBinary, sa.ForeignKey("function_bodies.body_hash"), nullable=False),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("public", sa.Boolean, nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("shared_with", sa.Text),
    sa.Column("searchable", sa.Boolean, nullable=False, server_default=sa.true()),
    sa.Column("container_id", sa.Text),
    sa.Column("entry_point", sa.Text, nullable=False, server_default=""),
    sa.Column("deleted", sa.Boolean, nullable=False, server_default=sa.false()),
)

# Apart from `functions`, because most readers of those have no use for it.
sources = sa.Table(
    "function_sources",
    metadata,
    sa.Column("function_id", sa.Text, primary_key=True),
    sa.Column("source", sa.Text, nullable=False),
)

endpoints = sa.Table(
    "endpoints",
    metadata,
    sa.Column("endpoint_id", sa.Text, primary_key=True),
    sa.Column("owner_id", sa.Text, nullable=False, index=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("public_key", sa.Text, nullable=False),
    sa.Column("version", sa.Text, nullable=False),
    sa.Column("meta", sa.LargeBinary, nullable=False),
    sa.Column("online", sa.Boolean, nullable=False),
    sa.Column("last_seen", sa.Float, nullable=False),
    sa.Column("epoch", _BigInteger, nullable=False),
    sa.Column("status", sa.LargeBinary),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("deleted", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("public", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("shared_with", sa.Text),
    sa.Column("restricted", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("locked_until", sa.Float, nullable=False, server_default="0"),
    sa.Column("features", sa.Text),
)
sa.Index(
    "endpoints_by_key",
    endpoints.c.public_key,
    unique=True,
    sqlite_where=sa.and_(endpoints.c.public_key != "", ~endpoints.c.deleted),
    postgresql_where=sa.and_(endpoints.c.public_key != "", ~endpoints.c.deleted),
)

# Apart from `endpoints`, because it is large and hardly ever read.
endpoint_environments = sa.Table(
    "endpoint_environments",
    metadata,
    sa.Column("endpoint_id", sa.Text, primary_key=True),
    sa.Column("environments", sa.LargeBinary, nullable=False),
    sa.Column("reported_at", sa.Float, nullable=False),
)

# `entry` is the id of a function, or ``sha256:`` and the hash of a function's body.
allowed = sa.Table(
    "allowed_functions",
    metadata,
    sa.Column("endpoint_id", sa.Text, primary_key=True),
    sa.Column("entry", sa.Text, primary_key=True),
    sa.Column("added_at", sa.Float, nullable=False),
)

containers = sa.Table(
    "containers",
    metadata,
    sa.Column("container_id", sa.Text, primary_key=True),
    sa.Column("owner_id", sa.Text, nullable=False, index=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("location", sa.Text, nullable=False),
    sa.Column("public", sa.Boolean, nullable=False),
    sa.Column("shared_with", sa.Text),
    sa.Column("created_at", sa.Float, nullable=False),
)

groups = sa.Table(
    "user_groups",
    metadata,
    sa.Column("group_id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
)

members = sa.Table(
    "user_group_members",
    metadata,
    sa.Column("group_id", sa.Text, primary_key=True),
    sa.Column("user_id", sa.Text, primary_key=True, index=True),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("added_at", sa.Float, nullable=False),
)

submits = sa.Table(
    "submits",
    metadata,
    sa.Column("submit_id", _BigInteger, primary_key=True),
    sa.Column("owner_id", sa.Text, nullable=False),
    sa.Column("endpoint_id", sa.Text, nullable=False),
    sa.Column("group_id", sa.Text, nullable=False, index=True),
    sa.Column("options", sa.LargeBinary),
    sa.Column("received_at", _BigInteger, nullable=False),
    sa.Column("first_position", _BigInteger, nullable=False),
    sa.Column("size", sa.Integer, nullable=False),
)

tasks = sa.Table(
    "tasks",
    metadata,
    sa.Column("position", _BigInteger, primary_key=True),
    sa.Column("task_id", sa.Text, nullable=False, unique=True),
    sa.Column("submit_id", _BigInteger, nullable=False),
    sa.Column("function_id", sa.Text, nullable=False),
    sa.Column("endpoint_id", sa.Text, nullable=False),
    sa.Column("request_hash", sa.LargeBinary, nullable=False),
    sa.Column("payload", sa.LargeBinary),
    sa.Column("payload_blob", sa.Text),
    sa.Column("state", sa.Text, nullable=False, server_default="received"),
    sa.Column("attempt", sa.Integer, nullable=False, server_default="1"),
    sa.Column("result", sa.LargeBinary),
    sa.Column("result_blob", sa.Text),
    sa.Column("error", sa.LargeBinary),
    sa.Column("times", sa.LargeBinary),
    sa.Column("completed_at", _BigInteger),
    sa.Column("lane", _BigInteger, nullable=False, server_default="0"),
)
# Only open tasks are in it, so it stays as small as the work at hand. By lane, so that nobody's tasks are behind another's.
sa.Index(
    "tasks_by_lane",
    tasks.c.endpoint_id,
    tasks.c.lane,
    tasks.c.position,
    sqlite_where=tasks.c.completed_at.is_(None),
    postgresql_where=tasks.c.completed_at.is_(None),
)

# The tasks of a submit that is in here wait for `upstream`, in lanes below 0 where nobody looks for something to run.
dependencies = sa.Table(
    "submit_dependencies",
    metadata,
    sa.Column("submit_id", _BigInteger, primary_key=True),
    sa.Column("upstream", sa.Text, primary_key=True, index=True),
    sqlite_with_rowid=False,
)

events = sa.Table(
    "task_events",
    metadata,
    sa.Column("task_id", sa.Text, primary_key=True),
    sa.Column("seq", _BigInteger, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("at", _BigInteger, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

maps = sa.Table(
    "maps",
    metadata,
    sa.Column("number", _BigInteger, primary_key=True),
    sa.Column("map_id", sa.Text, nullable=False, unique=True),
    sa.Column("owner_id", sa.Text, nullable=False),
    sa.Column("endpoint_id", sa.Text, nullable=False),
    sa.Column("group_id", sa.Text, nullable=False),
    sa.Column("function_id", sa.Text, nullable=False),
    sa.Column("options", sa.LargeBinary),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("size", _BigInteger),
    sa.Column("received_at", _BigInteger, nullable=False),
    sa.Column("cancelled_at", _BigInteger),
    sa.Column("about", sa.LargeBinary),  # large, and read by itself
)
sa.Index("maps_by_owner", maps.c.owner_id, maps.c.received_at)

# A task (of this position) that runs calls of a map: all of one span, or those at `positions` of it. The first range of a
# span is the one without positions; its row keeps the arguments until each call of the span has succeeded. `states` and
# the counts come with the end. Large columns are last, so that reading the others needs not pass over them.
ranges = sa.Table(
    "map_ranges",
    metadata,
    sa.Column("position", _BigInteger, primary_key=True),
    sa.Column("map", _BigInteger, nullable=False),
    sa.Column("start", _BigInteger, nullable=False),
    sa.Column("size", sa.Integer, nullable=False),
    sa.Column("ended", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("succeeded", sa.Integer, nullable=False, server_default="0"),
    sa.Column("failed", sa.Integer, nullable=False, server_default="0"),
    sa.Column("not_run", sa.Integer, nullable=False, server_default="0"),
    sa.Column("unfinished", sa.Integer, nullable=False, server_default="0"),
    sa.Column("positions", sa.LargeBinary),
    sa.Column("states", sa.LargeBinary),
    sa.Column("payload", sa.LargeBinary),
    sa.Column("payload_blob", sa.Text),
)
sa.Index("map_ranges_by_span", ranges.c.map, ranges.c.start)
