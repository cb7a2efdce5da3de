"""The tables of results, the same in every database."""

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
    Column("key", String(40), primary_key=True, comment="hash of everything that the result depends on"),
    Column("kind", String(40), nullable=False, index=True, comment="analysis, evaluation, ..."),
    Column("created", Float, nullable=False, index=True, comment="seconds since 1970, UTC"),
    Column("used", Float, nullable=False, comment="time of the last use, seconds since 1970, UTC"),
    Column("model", Text, nullable=False, comment="the model's name, as the user gave it"),
    Column("fingerprint", String(64), nullable=False, comment="hash of the model's config and weights"),
    Column("description", Text, nullable=False, comment="a short description of the text"),
    Column("options", JSON, nullable=False, comment="the options of the study"),
    Column("summary", JSON, nullable=False, comment="the result's main numbers"),
    Column("program", Text, nullable=False, comment="the program that computed it"),
    Column("text_key", String(40), ForeignKey("entviz_texts.key"), nullable=True, index=True),
    Column("bytes", Integer, nullable=False, comment="size of the result"),
    Column("result", LargeBinary, nullable=False),
)
# Every column needed to make room, so that making room reads this index instead of the table with its large results.
Index("entviz_runs_by_use", runs.c.used, runs.c.created, runs.c.key, runs.c.bytes)

requests = Table(
    "entviz_requests",
    metadata,
    Column("key", String(40), primary_key=True, comment="hash of a study, known before its model is loaded"),
    Column("run_key", String(40), ForeignKey("entviz_runs.key"), nullable=False, index=True),
)
