"""The declarative base and the column types that One API databases have had since the Go project."""

from typing import Any

from sqlalchemy import CHAR, BigInteger, Integer, MetaData, String, Text
from sqlalchemy.dialects import mysql
from sqlalchemy.orm import DeclarativeBase

# SQLite numbers rows only in INTEGER PRIMARY KEY columns.
Id = BigInteger().with_variant(Integer, "sqlite")
Count = BigInteger()
# A string that is indexed, unique or has a default is varchar(191) on MySQL and text elsewhere.
Name = Text().with_variant(String(191), "mysql", "mariadb")
LongText = Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb")


def code(length: int) -> String:
    """A key of at most this many characters. PostgreSQL pads char(n) with blanks, so it gets varchar there."""
    return CHAR(length).with_variant(String(length), "postgresql")


NAMING = {"ix": "idx_%(table_name)s_%(column_0_name)s", "uq": "uni_%(table_name)s_%(column_0_name)s"}


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMING)
    __table_args__: Any = {"sqlite_autoincrement": True, "mysql_charset": "utf8mb4"}


class Missing(LookupError):
    """No such row, or none that the asker may know of: pages answer 404, the API says "record not found"."""

    def __init__(self, noun: str, id: int | str):
        super().__init__(f"{noun} {id} not found")
