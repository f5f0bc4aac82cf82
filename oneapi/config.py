"""What the environment decides: every variable as a Field, read once at the start. Bad values stop it with one sentence."""

import ipaddress
import os
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

from oneapi.fields import Field, Invalid, address, at_least, between

VERSION = "1.0.0"

# Values that the documentation of either project shows as examples: known to everybody, so no secret.
SAMPLE_SECRETS = {"random_string", "changeme", "change_me", "secret", "your_secret", "your-secret", "123456", "password"}


def own_secret(value: str) -> str | None:
    if value.strip().lower() in SAMPLE_SECRETS:
        return "choose a value of your own; the documented sample is known to everybody."
    return None


def encryption_keys(value: str) -> str | None:
    keys = [k.strip() for k in value.split(",")] if value else []
    if any(len(k) < 16 for k in keys):
        return "give at least 16 characters, such as `openssl rand -hex 32` prints."
    return None


def token_key(value: str) -> str | None:
    if value and not re.fullmatch(r"[!-,.-~]{1,48}", value.removeprefix("sk-")):  # a dash would begin a channel's number
        return "give 1 to 48 letters and digits, with or without sk- before them, and no other dash."
    return None


def root_password(value: str) -> str | None:
    if value and not 8 <= len(value) <= 20:
        return "give 8 to 20 characters."
    return None


def one_word(value: str) -> str | None:
    if not value.isascii() or not value.isprintable() or " " in value or len(value) > 255:
        return "give one word of at most 255 ASCII characters."
    return None


def networks(value: str) -> str | None:
    for part in filter(None, (p.strip() for p in value.split(","))):
        try:
            ipaddress.ip_network(part, strict=False)
        except ValueError:
            return f"{part!r} is no network; give a comma list such as 10.0.0.0/8,192.168.1.7."
    return None


def proxy(value: str) -> str | None:
    if value and not re.fullmatch(r"(https?|socks5h?)://[^\s/]+/?", value):
        return "give a proxy such as http://host:port or socks5://user:password@host:port."
    return None


ESCAPED = "write #, /, ? and @ of a password as %23, %2F, %3F and %40."


def redis_nodes(value: str) -> str | None:
    if "://" not in value:
        wrong = [p for p in value.split(",") if p.strip() and not re.fullmatch(r"(\[[^\]\s]+\]|[^\s:/#?@]+)(:\d{1,5})?", p.strip())]
        return "give nodes as host:port with commas between, or one redis:// address." if wrong else None
    if not value.startswith(("redis://", "rediss://", "unix://")):
        return "give an address that begins with redis://, rediss:// or unix://."
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError:
        return f"give a number from 0 to 65535 as the port. W{ESCAPED[1:]}"
    if "#" in value or "@" in parts.path + parts.query or (parts.scheme != "unix" and "/" in parts.path.strip("/")):
        return ESCAPED
    given = parse_qs(parts.query).get("db", [])
    if not all(name.isdecimal() for name in [parts.path.strip("/") if parts.scheme != "unix" else "", *given] if name):
        return "give a number as the database, such as redis://host:6379/0."
    return None


def _env(name: str, type_: type, default: object, help: str, **more: object) -> Field:
    return Field(name.lower(), type_, default, name, help, key=name, **more)  # type: ignore[arg-type]


FIELDS: tuple[Field, ...] = (
    # Serving
    _env("PORT", int, 3000, "Port to listen on; beats --port.", check=between(1, 65535)),
    _env("HOST", str, "0.0.0.0", "Address to listen on."),
    _env("ONEAPI_WORKERS", int, 0, "Workers of gunicorn; 0 takes WEB_CONCURRENCY, and without it one for each core.", check=at_least(0)),
    _env("WEB_CONCURRENCY", int, 0, "The same, as hosting platforms set it. gunicorn reads it before it reads us.", check=at_least(0)),
    _env("INSTANCE_PATH", str, "instance", "Folder of the SQLite file, the session key and the journal."),
    _env("LOG_DIR", str, "logs", "Folder of the log files; empty logs to standard error only."),
    _env("ONLY_ONE_LOG_FILE", bool, False, "Write oneapi.log instead of one file a day."),
    _env("LOG_KEEP_DAYS", int, 30, "Days of log files to keep; 0 keeps all.", check=at_least(0)),
    _env("DEBUG", bool, False, "More log lines. Never prints bodies or keys."),
    _env("DEBUG_SQL", bool, False, "Log every SQL statement."),
    _env("GIN_MODE", str, "release", "Accepted for compatibility; has no effect."),
    _env("TZ", str, "", "Time zone of log lines."),
    _env("TRUSTED_PROXIES", str, "127.0.0.1/32,::1/128", "Networks whose X-Forwarded-For and -Proto are believed.", check=networks),
    _env("SERVER_ADDRESS", str, "", "Public address of this server, e.g. https://gw.example.com; beats the setting ServerAddress.", check=address),
    _env("SERVER_HANDLER", str, "lean", "HTTP handler: lean, or gevent's standard one.", choices=("lean", "standard")),
    _env("GRACEFUL_TIMEOUT", int, 30, "Seconds that running answers get to finish after SIGTERM.", check=at_least(0)),
    _env("MAX_BODY_MB", int, 64, "Largest request body in MB, also after decompression.", check=at_least(1)),
    _env("MAX_CONNECTIONS", int, 10_000, "Connections of clients that one process keeps open; fewer where the system allows fewer open files. Beyond them the longest idle one is closed.", check=at_least(1)),
    _env("MAX_CONNECTIONS_PER_ADDRESS", int, 1000, "The same for one IP address (IPv6: one /64). TRUSTED_PROXIES and Unix sockets are not counted; 0 is no limit.", check=at_least(0)),
    _env("METRICS_NETWORKS", str, "", "Networks that may read /metrics; empty turns it off.", check=networks),
    # Database
    _env("SQL_DSN", str, "", "Empty for SQLite; Go-style MySQL or PostgreSQL DSN, or an SQLAlchemy URL."),
    _env("LOG_SQL_DSN", str, "", "A database of its own for logs."),
    _env("SQLITE_PATH", str, "", "SQLite file. Empty takes one-api.db of the working folder if it is there, else of INSTANCE_PATH."),
    _env("SQLITE_BUSY_TIMEOUT", int, 3000, "Milliseconds to wait for a locked SQLite file.", check=at_least(0)),
    _env("COMMIT_BEFORE_ANSWER", bool, False, "With SQLite: let the end of each answer wait until the disk has its charge. Otherwise it waits for a file that outlives the process but not a power cut, and the database follows within milliseconds. Other databases always make it wait."),
    _env("SQL_MAX_IDLE_CONNS", int, 10, "Connections kept open.", check=at_least(1)),
    _env("SQL_MAX_OPEN_CONNS", int, 20, "Most connections of one process; a server of PostgreSQL takes 100 from all together unless told otherwise.", check=at_least(1)),
    _env("SQL_CONN_MAX_LIFETIME", int, 60, "Minutes after which a connection is renewed.", check=at_least(0)),
    _env("SQL_MAX_LIFETIME", int, 0, "The same in seconds, as the old project read it; beats the minutes when set.", check=at_least(0)),
    _env("SQL_TIMEOUT", int, 30, "Seconds after which a statement that MySQL or PostgreSQL does not answer fails; 0 waits without end. Upgrades of the database and commands are not limited.", check=at_least(0)),
    _env("SQL_URGENT_TIMEOUT", int, 5, "The same for a whole transaction that a request waits for: reservations, charges and look-ups of API keys. A charge then waits in the journal. 0 waits without end.", check=at_least(0)),
    # Nodes
    _env("REDIS_CONN_STRING", str, "", "redis:// URL, or a comma list of nodes with REDIS_MASTER_NAME (sentinel), or of cluster nodes. Rate limits then hold for all hosts together.", check=redis_nodes),
    _env("REDIS_PASSWORD", str, "", "Password of sentinel or cluster nodes.", secret=True),
    _env("REDIS_MASTER_NAME", str, "", "Name of the sentinel's master."),
    _env("SYNC_FREQUENCY", int, 600, "Seconds between full refreshes; changes travel within 2 seconds anyway.", check=at_least(1)),
    _env("MEMORY_CACHE_ENABLED", bool, True, "Accepted for compatibility: channels are always kept in memory."),
    _env("NODE_TYPE", str, "master", "slave runs no migrations and no jobs.", choices=("master", "slave")),
    _env("FRONTEND_BASE_URL", str, "", "On a slave: where pages are redirected to.", check=address),
    _env("SESSION_SECRET", str, "", "Key of the session cookies; the same on all nodes.", secret=True, check=own_secret),
    _env("ENCRYPTION_KEY", str, "", "Encrypts channel keys at rest when set; the same on all nodes. To change it, give the new and the old one with a comma between.", secret=True, check=encryption_keys),
    _env("THEME", str, "default", "Theme of a new installation.", choices=("default", "berry", "air")),
    # Work by itself
    _env("CHANNEL_TEST_FREQUENCY", int, 0, "Minutes between tests of all channels; 0 never.", check=at_least(0)),
    _env("CHANNEL_UPDATE_FREQUENCY", int, 0, "Minutes between balance updates of all channels; 0 never.", check=at_least(0)),
    _env("POLLING_INTERVAL", int, 0, "Seconds between two channels in tests and balance updates.", check=at_least(0)),
    _env("BATCH_UPDATE_ENABLED", bool, False, "Accepted for compatibility: charges are always written in groups, each exactly once."),
    _env("BATCH_UPDATE_INTERVAL", int, 5, "Accepted for compatibility; has no effect."),
    # Limits
    _env("GLOBAL_API_RATE_LIMIT", int, 180, "API requests per IP in three minutes; 0 is no limit.", check=at_least(0)),
    _env("GLOBAL_WEB_RATE_LIMIT", int, 60, "Page requests per IP in three minutes; 0 is no limit.", check=at_least(0)),
    _env("CRITICAL_RATE_LIMIT", int, 20, "Sign-ins, registrations and mails per IP in twenty minutes; 0 is no limit.", check=at_least(0)),
    # Relay
    _env("RELAY_TIMEOUT", int, 0, "Seconds for a whole answer that is not streamed; 0 is no limit.", check=at_least(0)),
    _env("CONNECT_TIMEOUT", int, 10, "Seconds to connect to a vendor.", check=at_least(1)),
    _env("FIRST_BYTE_TIMEOUT", int, 300, "Seconds to a vendor's first byte.", check=at_least(1)),
    _env("IDLE_TIMEOUT", int, 120, "Seconds of silence after which a stream counts as broken.", check=at_least(1)),
    _env("RELAY_PROXY", str, "", "Proxy for calls to vendors: http, https or socks5 URL.", check=proxy),
    _env("HTTP_PROXY", str, "", "Proxy for http addresses when RELAY_PROXY is empty.", check=proxy),
    _env("HTTPS_PROXY", str, "", "Proxy for https addresses when RELAY_PROXY is empty.", check=proxy),
    _env("NO_PROXY", str, "", "Hosts that are reached without HTTP_PROXY and HTTPS_PROXY."),
    _env("USER_CONTENT_REQUEST_PROXY", str, "", "Proxy for images named by users.", check=proxy),
    _env("USER_CONTENT_REQUEST_TIMEOUT", int, 30, "Seconds to fetch all images that a request names by address.", check=at_least(1)),
    _env("USER_CONTENT_MAX_FILES", int, 20, "Images that a request may name by address, where the provider wants them as data; 0 fetches none.", check=at_least(0)),
    _env("USER_CONTENT_MAX_FILE_MB", int, 20, "Size of one of these images, in megabytes.", check=at_least(1)),
    _env("USER_CONTENT_MAX_MB", int, 50, "Size of all of these images of a request, in megabytes.", check=at_least(1)),
    _env("USER_CONTENT_MEMORY_MB", int, 256, "Memory that they may take in a process, in megabytes, two thirds of it for one user. A request takes up to 8/3 of the size of its images; one that finds no memory within 10 seconds is refused.", check=at_least(1)),
    _env("USER_CONTENT_FETCHES", int, 32, "Images that a process fetches at the same time.", check=at_least(1)),
    _env("USER_CONTENT_FETCHES_PER_USER", int, 4, "Images that a process fetches at the same time for one user.", check=at_least(1)),
    _env("GEMINI_SAFETY_SETTING", str, "BLOCK_NONE", "Safety threshold sent to Gemini."),
    _env("GEMINI_VERSION", str, "v1beta", "API version for Gemini channels that name none."),
    _env("ENFORCE_INCLUDE_USAGE", bool, False, "Accepted for compatibility: usage is always asked for."),
    _env("TEST_PROMPT", str, "Output only your specific model name with no additional text.", "What channel tests say."),
    _env("ENABLE_METRIC", bool, False, "Disable channels whose success rate falls."),
    _env("METRIC_QUEUE_SIZE", int, 10, "Last answers that the success rate looks at.", check=at_least(1)),
    _env("METRIC_SUCCESS_RATE_THRESHOLD", float, 0.8, "Success rate below which a channel is disabled.", check=between(0, 1)),
    _env("METRIC_SUCCESS_CHAN_SIZE", int, 1024, "Accepted for compatibility; has no effect."),
    _env("METRIC_FAIL_CHAN_SIZE", int, 128, "Accepted for compatibility; has no effect."),
    # First start
    _env("INITIAL_ROOT_PASSWORD", str, "", "Password of root at the first start; empty means 123456, which works only from private networks until it is changed.", secret=True, check=root_password),
    _env("INITIAL_ROOT_TOKEN", str, "", "Key of a token made for root at the first start.", secret=True, check=token_key),
    _env("INITIAL_ROOT_ACCESS_TOKEN", str, "", "Access token of root at the first start.", secret=True, check=one_word),
    # Tokenizer files
    _env("TIKTOKEN_CACHE_DIR", str, "", "Accepted for compatibility: vocabularies are built in."),
    _env("DATA_GYM_CACHE_DIR", str, "", "Accepted for compatibility: vocabularies are built in."),
)  # fmt: skip


class Config(SimpleNamespace):
    """One attribute per Field, by lower-case name; `sources` says which came from the environment."""

    def __repr__(self) -> str:  # holds secrets
        return "Config()"


MAY_BE_EMPTY = ("log_dir",)  # an empty value says something here; elsewhere it counts as not set


def load(environ: Mapping[str, str] = os.environ) -> Config:
    """The configuration; raises Invalid with sentences that name the variable and what to give."""
    values: dict[str, object] = {}
    errors: dict[str, str] = {}
    given = {f.name: text for f in FIELDS if (text := _text(environ, f.stored_as).strip())}
    for field in FIELDS:
        try:
            empty = field.name in MAY_BE_EMPTY and field.stored_as in environ
            values[field.name] = field.parse(given[field.name]) if field.name in given else "" if empty else field.default
        except Invalid as error:
            errors.update(error.errors)
    if errors:
        raise Invalid(errors)
    return Config(**values, sources=set(given))


def _text(environ: Mapping[str, str], name: str) -> str:
    """A variable's text. Programs of this kind read the names of proxies in lower case too."""
    text = environ.get(name, "")
    return text or environ.get(name.lower(), "") if name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY") else text


def session_secret(config: Config) -> str:
    """SESSION_SECRET, or a key made once and kept in the instance folder, so that a restart signs nobody out."""
    if config.session_secret:
        return str(config.session_secret)
    path = Path(config.instance_path) / "session.key"
    try:
        if not path.exists():
            _make_key(path)
        return path.read_text()
    except OSError as error:
        said = (
            f"INSTANCE_PATH: the session key cannot be kept in {path} ({error.strerror}); make it writable or set SESSION_SECRET."
        )
        raise Invalid({"instance_path": said}) from None


def _make_key(path: Path) -> None:
    """Several processes may do this at once: the first wins, and nobody reads a file that is half written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "w") as file:
        file.write(secrets.token_hex(32))
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    except OSError:  # a file system without links
        os.replace(draft, path)
    draft.unlink(missing_ok=True)
