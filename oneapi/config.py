"""What the environment decides: every variable as a Field, read once at the start. Bad values stop it with one sentence."""

import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

from oneapi.fields import Field, Invalid, at_least, between

VERSION = "1.0.0"


def _env(name: str, type_: type, default: object, help: str, **more: object) -> Field:
    return Field(name.lower(), type_, default, name, help, key=name, **more)  # type: ignore[arg-type]


FIELDS: tuple[Field, ...] = (
    # Serving
    _env("PORT", int, 3000, "Port to listen on; beats --port.", check=between(1, 65535)),
    _env("HOST", str, "0.0.0.0", "Address to listen on."),
    _env("INSTANCE_PATH", str, "instance", "Folder of the SQLite file, the session key and the journal."),
    _env("LOG_DIR", str, "logs", "Folder of the log files; empty logs to standard error only."),
    _env("ONLY_ONE_LOG_FILE", bool, False, "Write oneapi.log instead of one file a day."),
    _env("LOG_KEEP_DAYS", int, 30, "Days of log files to keep; 0 keeps all.", check=at_least(0)),
    _env("DEBUG", bool, False, "More log lines. Never prints bodies or keys."),
    _env("DEBUG_SQL", bool, False, "Log every SQL statement."),
    _env("GIN_MODE", str, "release", "Accepted for compatibility; has no effect."),
    _env("TZ", str, "", "Time zone of log lines."),
    _env("TRUSTED_PROXIES", str, "127.0.0.1/32,::1/128", "Networks whose X-Forwarded-For and -Proto are believed."),
    _env("SERVER_HANDLER", str, "lean", "HTTP handler: lean, or gevent's standard one.", choices=("lean", "standard")),
    _env("GRACEFUL_TIMEOUT", int, 30, "Seconds that running answers get to finish after SIGTERM.", check=at_least(0)),
    _env("MAX_BODY_MB", int, 64, "Largest request body in MB, also after decompression.", check=at_least(1)),
    _env("METRICS_NETWORKS", str, "", "Networks that may read /metrics; empty turns it off."),
    # Database
    _env("SQL_DSN", str, "", "Empty for SQLite; Go-style MySQL or PostgreSQL DSN, or an SQLAlchemy URL."),
    _env("LOG_SQL_DSN", str, "", "A database of its own for logs."),
    _env("SQLITE_PATH", str, "", "SQLite file; one-api.db in INSTANCE_PATH when empty."),
    _env("SQLITE_BUSY_TIMEOUT", int, 3000, "Milliseconds to wait for a locked SQLite file.", check=at_least(0)),
    _env("SQL_MAX_IDLE_CONNS", int, 10, "Connections kept open.", check=at_least(1)),
    _env("SQL_MAX_OPEN_CONNS", int, 50, "Most connections of one process.", check=at_least(1)),
    _env("SQL_CONN_MAX_LIFETIME", int, 60, "Minutes after which a connection is renewed.", check=at_least(0)),
    _env("SQL_MAX_LIFETIME", int, 0, "The same in seconds, as the old project read it; beats the minutes when set.", check=at_least(0)),
    # Nodes
    _env("REDIS_CONN_STRING", str, "", "redis:// URL, or a comma list of nodes with REDIS_MASTER_NAME (sentinel), or of cluster nodes."),
    _env("REDIS_PASSWORD", str, "", "Password of sentinel or cluster nodes.", secret=True),
    _env("REDIS_MASTER_NAME", str, "", "Name of the sentinel's master."),
    _env("SYNC_FREQUENCY", int, 600, "Seconds between full refreshes; changes travel within 2 seconds anyway.", check=at_least(1)),
    _env("MEMORY_CACHE_ENABLED", bool, True, "Accepted for compatibility: channels are always kept in memory."),
    _env("NODE_TYPE", str, "master", "slave runs no migrations and no jobs.", choices=("master", "slave")),
    _env("FRONTEND_BASE_URL", str, "", "On a slave: where pages are redirected to."),
    _env("SESSION_SECRET", str, "", "Key of the session cookies; the same on all nodes.", secret=True),
    _env("ENCRYPTION_KEY", str, "", "Encrypts channel keys at rest when set; the same on all nodes.", secret=True),
    _env("THEME", str, "default", "Theme of a new installation."),
    # Work by itself
    _env("CHANNEL_TEST_FREQUENCY", int, 0, "Minutes between tests of all channels; 0 never.", check=at_least(0)),
    _env("CHANNEL_UPDATE_FREQUENCY", int, 0, "Minutes between balance updates of all channels; 0 never.", check=at_least(0)),
    _env("POLLING_INTERVAL", int, 0, "Seconds between two channels in tests and balance updates.", check=at_least(0)),
    _env("BATCH_UPDATE_ENABLED", bool, False, "Accepted for compatibility: charges are always written in groups, and durably."),
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
    _env("RELAY_PROXY", str, "", "Proxy for calls to vendors: http, https or socks5 URL."),
    _env("HTTP_PROXY", str, "", "Proxy for http addresses when RELAY_PROXY is empty."),
    _env("HTTPS_PROXY", str, "", "Proxy for https addresses when RELAY_PROXY is empty."),
    _env("NO_PROXY", str, "", "Hosts that are reached without HTTP_PROXY and HTTPS_PROXY."),
    _env("USER_CONTENT_REQUEST_PROXY", str, "", "Proxy for images named by users."),
    _env("USER_CONTENT_REQUEST_TIMEOUT", int, 30, "Seconds to fetch an image named by a user.", check=at_least(1)),
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
    _env("INITIAL_ROOT_TOKEN", str, "", "Key of a token made for root at the first start.", secret=True),
    _env("INITIAL_ROOT_ACCESS_TOKEN", str, "", "Access token of root at the first start.", secret=True),
    # Tokenizer files
    _env("TIKTOKEN_CACHE_DIR", str, "", "Accepted for compatibility: vocabularies are built in."),
    _env("DATA_GYM_CACHE_DIR", str, "", "Accepted for compatibility: vocabularies are built in."),
)  # fmt: skip

# Values that the documentation of either project shows as examples: known to everybody, so no secret.
SAMPLE_SECRETS = {"random_string", "changeme", "secret"}


class Config(SimpleNamespace):
    """One attribute per Field, by lower-case name; `sources` says which came from the environment."""

    def __repr__(self) -> str:  # holds secrets
        return "Config()"


def load(environ: Mapping[str, str] = os.environ) -> Config:
    """The configuration; raises Invalid with sentences that name the variable and what to give."""
    values: dict[str, object] = {}
    errors: dict[str, str] = {}
    for field in FIELDS:
        text = environ.get(field.stored_as, "")
        try:
            values[field.name] = field.parse(text) if text.strip() else field.default
        except Invalid as error:
            errors.update(error.errors)
    secret = values.get("session_secret")
    if secret in SAMPLE_SECRETS:
        errors["session_secret"] = "SESSION_SECRET: choose a value of your own; the documented sample is known to everybody."
    if errors:
        raise Invalid(errors)
    given = {f.name for f in FIELDS if environ.get(f.stored_as, "").strip()}
    return Config(**values, sources=given)


def session_secret(config: Config) -> str:
    """SESSION_SECRET, or a key made once and kept in the instance folder, so that a restart signs nobody out."""
    if config.session_secret:
        return str(config.session_secret)
    path = Path(config.instance_path) / "session.key"
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
            file.write(secrets.token_hex(32))
    except FileExistsError:
        pass
    return path.read_text()
