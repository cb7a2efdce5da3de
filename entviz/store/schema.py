"""The tables that results are kept in, the same in every database."""

from sqlalchemy import (
    JSON,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

metadata = MetaData()

texts = Table(
    "entviz_texts",
    metadata,
    Column("key", String(40), primary_key=True, comment="hash of the text"),
    Column("text", Text, nullable=False),
    Column("bytes", Integer, nullable=False),
)

runs = Table(
    "entviz_runs",
    metadata,
    Column("key", String(40), primary_key=True, comment="hash of all that the result depends on"),
    Column("kind", String(40), nullable=False, index=True, comment="analysis, evaluation, ..."),
    Column("created", Float, nullable=False, index=True, comment="seconds since 1970, UTC"),
    Column("used", Float, nullable=False, comment="the same, when it was last asked for"),
    Column("model", Text, nullable=False, comment="the name it was asked for by"),
    Column("fingerprint", String(64), nullable=False, comment="of the model's config and weights"),
    Column("description", Text, nullable=False, comment="of the text, in a few words"),
    Column("options", JSON, nullable=False, comment="what was asked for"),
    Column("summary", JSON, nullable=False, comment="the main numbers"),
    Column("program", Text, nullable=False, comment="what computed it"),
    Column("text_key", String(40), ForeignKey("entviz_texts.key"), nullable=True, index=True),
    Column("bytes", Integer, nullable=False, comment="of the result"),
    Column("result", LargeBinary, nullable=False),
)
# All that is asked to make room, so that it is read from the index and not past the results.
Index("entviz_runs_by_use", runs.c.used, runs.c.created, runs.c.key, runs.c.bytes)

requests = Table(
    "entviz_requests",
    metadata,
    Column(
        "key", String(40), primary_key=True, comment="hash of what was asked for, before a model was loaded"
    ),
    Column("run_key", String(40), ForeignKey("entviz_runs.key"), nullable=False, index=True),
)
