"""Read data source names as Go's drivers, libpq, SQLAlchemy and hosting platforms write them."""

import re
import ssl
from urllib.parse import parse_qsl

import certifi
from sqlalchemy import make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError

from oneapi.fields import Invalid

ADVICE = (
    "give user:password@tcp(host:3306)/name for MySQL, postgres://user:password@host:5432/name for PostgreSQL, "
    "an SQLAlchemy URL, or nothing for SQLite."
)
GO_MYSQL = re.compile(
    r"(?:(?P<user>[^:@/]*)(?::(?P<password>.*))?@)?(?P<net>tcp|unix)?(?:\((?P<address>[^)]*)\))?/(?P<name>[^/?]*)(?:\?(?P<query>.*))?"
)

# Parameters of MySQL URLs that PyMySQL and SQLAlchemy know. Numbers are checked: PyMySQL raises TypeError on them.
MYSQL_NUMBERS = {"connect_timeout", "read_timeout", "write_timeout", "client_flag"}
MYSQL_TEXTS = {
    "unix_socket", "init_command", "sql_mode", "program_name", "bind_address", "read_default_file", "read_default_group",
    "ssl_ca", "ssl_cert", "ssl_key", "ssl_capath", "ssl_cipher", "ssl_check_hostname", "ssl_key_password",
}  # fmt: skip
# Parameters of other drivers that change nothing here, in lower case without "_" and "-": those of Go's MySQL driver, of
# Connector/J and of JavaScript libraries. The character set is always utf8mb4, and SQL_TIMEOUT limits statements.
MYSQL_IGNORED = {
    "allowallfiles", "allowcleartextpasswords", "allowfallbacktoplaintext", "allownativepasswords", "allowoldpasswords",
    "charset", "checkconnliveness", "clientfoundrows", "collation", "columnswithalias", "compress", "connectionattributes",
    "interpolateparams", "loc", "maxallowedpacket", "multistatements", "parsetime", "readtimeout", "rejectreadonly",
    "serverpubkey", "timeout", "timetruncate", "writetimeout", "useunicode", "characterencoding", "servertimezone",
    "connectiontimezone", "autoreconnect", "allowpublickeyretrieval", "zerodatetimebehavior", "rewritebatchedstatements",
    "allowmultiqueries", "connecttimeout", "sockettimeout", "connectionlimit", "pooltimeout", "timezone",
}  # fmt: skip
TLS_NAMES = {"tls", "sslmode", "usessl", "requiressl", "ssl", "sslaccept", "verifyservercertificate"}
TLS = {
    "none": {"false", "0", "off", "no", "disabled", "disable", "preferred", "prefer", "allow"},
    "unverified": {"skip-verify", "required", "require", "1", "on", "yes", "accept_invalid_certs"},
    "authority": {"verify_ca", "verify-ca"},
    "host": {"true", "verify_identity", "verify-identity", "verify-full", "strict"},
}

# Parameters of PostgreSQL URLs that belong to other drivers and poolers; other unknown names are settings of the server.
# TimeZone changes nothing, because every time is stored as a number, and poolers refuse settings in the start-up packet.
POSTGRESQL_IGNORED = re.compile(
    r"pool_\w+|statement_cache_\w+|description_cache_\w+|default_query_exec_mode|prefer_simple_protocol|binary_parameters"
    r"|pgbouncer|connection_limit|prepared_statements|prepare_threshold|preparethreshold|uselibpqcompat|supa|workaround|timezone",
    re.IGNORECASE,
)


class _Unusable(Exception):
    """A data source name with one part that cannot be used; the message says which, without any secret."""


def url(dsn: str, *, sqlite_path: str, name: str = "SQL_DSN") -> URL:
    """Return the SQLAlchemy URL of a data source name in any documented form; empty means SQLite. Raises Invalid."""
    dsn = dsn.strip()
    advice = ADVICE
    try:
        found = _parse(dsn) if dsn else URL.create("sqlite", database=sqlite_path)
    except _Unusable as error:
        found, advice = None, str(error)
    except (ArgumentError, ValueError):  # their messages quote the whole name, which has a password
        found = None
    if found is None or not (found.database or found.query.get("service")):
        raise Invalid({name.lower(): f"{name}: {advice}"})
    return found


def _parse(dsn: str) -> URL | None:
    scheme, mark, rest = dsn.partition("://")
    if mark and re.fullmatch(r"[a-z+0-9]+", scheme):
        kind = scheme.partition("+")[0]
        if kind in ("postgres", "postgresql"):
            return _postgresql(make_url("postgresql+psycopg://" + _escaped(rest)))
        if kind in ("mysql", "mariadb"):
            go = GO_MYSQL.fullmatch(rest)
            if go and go["net"]:  # mysql://user:password@tcp(host)/name
                return _go_mysql(go)
            return _mysql(make_url("mysql+pymysql://" + _escaped(rest)))
        return _sqlite(make_url(dsn)) if kind == "sqlite" else None
    if re.match(r"\s*[a-z_]+\s*=", dsn):
        return _keyword_postgresql(dsn)
    go = GO_MYSQL.fullmatch(dsn)
    return _go_mysql(go) if go else None


def _escaped(rest: str) -> str:
    """Escape the @ in the password of user:password@host…; as in Go, the last one ends the password."""
    place, slash, path = rest.partition("/")
    login, at, host = place.rpartition("@")
    return f"{login.replace('@', '%40')}{at}{host}{slash}{path}"


def _sqlite(at: URL) -> URL:
    """Leave Go's parameters out, such as ?_busy_timeout=3000; only names that begin with file: have parameters here."""
    return at if (at.database or "").startswith("file:") else at.set(query={})


def _postgresql(at: URL) -> URL:
    import psycopg  # here, because without PostgreSQL it would be 8 MB for nothing

    query = {k: v if isinstance(v, str) else v[-1] for k, v in at.query.items()}
    if (given := query.pop("ssl", None)) is not None:
        query.setdefault("sslmode", "disable" if given.lower() in TLS["none"] else "require")
    if query.get("sslmode") == "no-verify":
        query["sslmode"] = "require"
    if (schema := query.pop("schema", None)) is not None:
        query.setdefault("search_path", schema)
    known = {option.keyword.decode() for option in psycopg.pq.Conninfo.get_defaults()}
    strange = {k: query.pop(k) for k in list(query) if k not in known}
    settings = [f"-c {k}={v}" for k, v in strange.items() if not POSTGRESQL_IGNORED.fullmatch(k)]
    if settings:
        query["options"] = " ".join(filter(None, [query.get("options", ""), *settings]))
    return at.set(query=query)


def _keyword_postgresql(dsn: str) -> URL | None:
    """Read host=… user=… password=… dbname=…, as libpq and Go's driver write it."""
    pairs = re.findall(r"([A-Za-z_]+)\s*=\s*('(?:[^'\\]|\\.)*'|[^\s']+)", dsn)
    values = {k: re.sub(r"\\(.)", r"\1", v[1:-1]) if v.startswith("'") else v for k, v in pairs}
    if not values.keys() & {"host", "hostaddr", "dbname", "service"}:
        return None
    user, host = values.pop("user", None), values.pop("host", None)
    port, name = values.pop("port", None), values.pop("dbname", None) or user
    made = URL.create("postgresql+psycopg", user, values.pop("password", None), None, int(port) if port else None, name, values)
    if host and host.startswith("/"):
        return _postgresql(made.update_query_dict({"host": host}))
    return _postgresql(made.set(host=host))


def _mysql(at: URL) -> URL:
    """Keep the parameters of a MySQL URL that mean something here; raises _Unusable for those that nobody knows."""
    query = {"charset": "utf8mb4"}
    for name, values in at.normalized_query.items():
        value, plain = values[-1], re.sub("[-_]", "", name).lower()
        spelled = name.replace("-", "_")
        if spelled in MYSQL_NUMBERS:
            if not re.fullmatch(r"[1-9][0-9]{0,8}", value):
                raise _Unusable(f"{name} must be a whole number above 0.")
            query[spelled] = value
        elif spelled in MYSQL_TEXTS:
            query[spelled] = value
        elif plain in ("socket", "unixsocket"):
            query["unix_socket"] = value
        elif plain in TLS_NAMES:
            query = _tls(name, value) | query
        elif plain not in MYSQL_IGNORED:
            raise _Unusable(f"the parameter {name} is not known for MySQL; leave it out.")
    return at.set(query=query)


def _tls(name: str, value: str) -> dict[str, str]:
    """Translate the ways to ask for TLS: tls=… of Go, ssl-mode=… of MySQL's programs, sslmode=…, useSSL=…, ssl=…."""
    value = value.lower()
    if re.sub("[-_]", "", name).lower() in ("usessl", "requiressl", "ssl", "verifyservercertificate") and value == "true":
        value = "required"
    kind = next((kind for kind, values in TLS.items() if value in values), None)
    if kind is None:
        raise _Unusable(f"{name} must be DISABLED, PREFERRED, REQUIRED, VERIFY_CA or VERIFY_IDENTITY.")
    if kind == "none":  # the driver takes TLS by itself where the server offers it
        return {}
    if kind == "unverified":
        return {"ssl_check_hostname": "false"}
    authorities = {"ssl_ca": ssl.get_default_verify_paths().cafile or certifi.where()}
    return authorities | ({"ssl_check_hostname": "false"} if kind == "authority" else {})


def _go_mysql(go: re.Match[str]) -> URL | None:
    """Read user:password@tcp(host:port)/name?params, as Go's MySQL driver writes it.

    Of its parameters only tls means something here; names that are not Go's are settings of the server.
    """
    given = {k.lower(): v for k, v in parse_qsl(go["query"] or "")}
    tls = given.get("tls", "false").lower()
    if not any(tls in values for values in TLS.values()):
        tls = "true"  # the name of a configuration that a Go program registers
    options = {"charset": "utf8mb4", **_tls("tls", tls)}
    address = go["address"] or ""
    if go["net"] == "unix":
        return URL.create(
            "mysql+pymysql", go["user"], go["password"] or None, None, None, go["name"], {**options, "unix_socket": address}
        )
    place = re.fullmatch(r"(\[[^\]]*\]|[^:]*)(?::(\d+))?", address)
    if place is None:
        return None
    host, port = (place[1] or "127.0.0.1").strip("[]"), int(place[2] or 3306)
    return URL.create("mysql+pymysql", go["user"], go["password"] or None, host, port, go["name"], options)
