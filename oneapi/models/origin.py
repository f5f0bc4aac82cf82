"""Recognise databases of other projects by their columns, before anything is written to them."""

from urllib.parse import quote

from sqlalchemy import Connection, Engine, NullPool, create_engine, inspect

NEW_API, ONE_HUB, OTHER = "new-api", "one-hub", "another project"

# Columns and tables that the Go project one-api never had. Of two projects that share one, the first is meant.
SIGNS: dict[str, dict[str, set[str]]] = {
    ONE_HUB: {
        "tokens": {"setting", "backup_group", "chat_cache"},
        "channels": {"only_chat", "pre_cost", "plugin", "disabled_stream", "compatible_response", "proxy"},
        "logs": {"request_time", "source_ip"},
        "prices": {"channel_type"},
        "user_groups": {"symbol"},
    },
    NEW_API: {
        "tokens": {"model_limits_enabled", "model_limits", "allow_ips", "cross_group_retry"},
        "channels": {"channel_info", "auto_ban", "param_override", "status_code_mapping", "other_info", "openai_organization"},
        "users": {"aff_quota", "aff_count", "aff_history", "stripe_customer"},
        "logs": {"use_time"},
    },
    OTHER: {name: {"deleted_at"} for name in ("users", "tokens", "redemptions", "channels")},
}


def project(connection: Connection) -> str:
    """Return the project that made the tables of a database, or "" when it is one-api, this one, or nobody knows."""
    found = inspect(connection)
    present = set(found.get_table_names())
    columns = {
        table: {column["name"] for column in found.get_columns(table)}
        for signs in SIGNS.values()
        for table in signs.keys() & present
    }
    for name, signs in SIGNS.items():
        if any(columns.get(table, set()) & has for table, has in signs.items()):
            return name
    return ""


def reading(file: str) -> Engine:
    """Return an engine that opens a SQLite file for reading only and sets none of our PRAGMAs."""
    return create_engine(f"sqlite:///file:{quote(file)}?mode=ro&uri=true", poolclass=NullPool)
