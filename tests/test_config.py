"""What the environment decides: every variable documented, every bad value refused with a sentence, nothing lost on the way."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import servers
from sqlalchemy import text

from oneapi import config, db
from oneapi.fields import Field, Invalid

ROOT = Path(__file__).parent.parent

# Every variable that the old project documents or reads.
OLD = """
PORT GIN_MODE DEBUG DEBUG_SQL SQL_DSN LOG_SQL_DSN SQLITE_PATH SQLITE_BUSY_TIMEOUT SQL_MAX_IDLE_CONNS SQL_MAX_OPEN_CONNS
SQL_MAX_LIFETIME SQL_CONN_MAX_LIFETIME REDIS_CONN_STRING REDIS_PASSWORD REDIS_MASTER_NAME SYNC_FREQUENCY MEMORY_CACHE_ENABLED
SESSION_SECRET NODE_TYPE FRONTEND_BASE_URL THEME CHANNEL_TEST_FREQUENCY CHANNEL_UPDATE_FREQUENCY POLLING_INTERVAL
BATCH_UPDATE_ENABLED BATCH_UPDATE_INTERVAL GLOBAL_API_RATE_LIMIT GLOBAL_WEB_RATE_LIMIT RELAY_TIMEOUT RELAY_PROXY HTTP_PROXY
HTTPS_PROXY NO_PROXY USER_CONTENT_REQUEST_PROXY USER_CONTENT_REQUEST_TIMEOUT GEMINI_SAFETY_SETTING GEMINI_VERSION ENABLE_METRIC
METRIC_QUEUE_SIZE METRIC_SUCCESS_RATE_THRESHOLD METRIC_SUCCESS_CHAN_SIZE METRIC_FAIL_CHAN_SIZE INITIAL_ROOT_TOKEN
INITIAL_ROOT_ACCESS_TOKEN ENFORCE_INCLUDE_USAGE TEST_PROMPT ONLY_ONE_LOG_FILE TIKTOKEN_CACHE_DIR DATA_GYM_CACHE_DIR TZ
"""


@pytest.mark.parametrize("field", config.FIELDS, ids=lambda f: f.stored_as)
def test_every_variable_is_documented_and_its_default_passes(field: Field) -> None:
    assert field.label
    assert field.help.endswith(".")
    assert field.accept(field.default) == field.default


def test_every_variable_of_the_old_project_is_known() -> None:
    assert set(OLD.split()) - {f.stored_as for f in config.FIELDS} == set()
    assert len({f.stored_as for f in config.FIELDS}) == len(config.FIELDS)


@pytest.mark.parametrize(
    ("name", "value", "part"),
    [
        ("PORT", "abc", "whole number, not 'abc'"),
        ("PORT", "70000", "from 1 to 65535"),
        ("SYNC_FREQUENCY", "0", "1 or more"),
        ("DEBUG", "maybe", "true or false"),
        ("METRIC_SUCCESS_RATE_THRESHOLD", "nan", "a number"),
        ("NODE_TYPE", "boss", "master, slave"),
        ("THEME", "dark", "default, berry, air"),
        ("SESSION_SECRET", "random_string", "documented sample"),
        ("ENCRYPTION_KEY", "short", "16 characters"),
        ("TRUSTED_PROXIES", "10.0.0.0/8,nonsense", "'nonsense' is no network"),
        ("RELAY_PROXY", "localhost:1080", "socks5://"),
        ("FRONTEND_BASE_URL", "example.com", "http://"),
        ("REDIS_CONN_STRING", "http://redis", "redis://"),
        ("INITIAL_ROOT_TOKEN", "sk-a-b", "no other dash"),
        ("INITIAL_ROOT_TOKEN", "x" * 49, "1 to 48"),
        ("INITIAL_ROOT_ACCESS_TOKEN", "two words", "one word"),
    ],
)
def test_a_bad_value_is_refused_with_a_sentence_that_names_the_variable(name: str, value: str, part: str) -> None:
    with pytest.raises(Invalid) as caught:
        config.load({name: value})
    (sentence,) = caught.value.errors.values()
    assert sentence.startswith(f"{name}: ")
    assert part in sentence


def test_every_bad_value_is_told_at_once() -> None:
    with pytest.raises(Invalid) as caught:
        config.load({"PORT": "x", "SQL_MAX_OPEN_CONNS": "y"})
    assert set(caught.value.errors) == {"port", "sql_max_open_conns"}


def test_empty_variables_count_as_absent() -> None:
    found = config.load({"PORT": "", "RELAY_TIMEOUT": "  ", "DEBUG": ""})
    assert (found.port, found.relay_timeout, found.debug, found.sources) == (3000, 0, False, set())


@pytest.mark.parametrize("name", ["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"])
def test_proxies_may_be_named_in_lower_case(name: str) -> None:
    value = "localhost,.example.com" if name == "NO_PROXY" else "http://proxy:3128"
    assert getattr(config.load({name.lower(): value}), name.lower()) == value
    assert getattr(config.load({name.lower(): "http://other:1", name: value}), name.lower()) == value


@pytest.mark.parametrize("wrong", [
    "redis://:a#b@h:1/0", "redis://:a/b@h:1/0", "redis://:a?b@h:1", "redis://h:1/0/1", "redis://h/x", "rediss://h/0?db=x", "h:x",
    "h:1/0", "h:1,g:y", "redis://h:99999/0",
])  # fmt: skip
def test_a_redis_address_that_cannot_be_right_stops_the_start(wrong: str) -> None:
    with pytest.raises(Invalid, match="REDIS_CONN_STRING: "):
        config.load({"REDIS_CONN_STRING": wrong})


@pytest.mark.parametrize("right", [
    "redis://h", "redis://h/", "redis://u:p%23%2F%40w@h:1/15", "rediss://h:1/0?ssl_cert_reqs=none", "unix:///run/r.sock?db=2",
    "h", "h:1", "h:1, g:2,", "[::1]:6379", "redis://h/1?dial_timeout=5s&db=3",
])  # fmt: skip
def test_a_redis_address_that_can_be_right_is_taken(right: str) -> None:
    assert config.load({"REDIS_CONN_STRING": right}).redis_conn_string == right


def test_repr_shows_no_secret() -> None:
    assert "hush" not in repr(config.load({"SESSION_SECRET": "hush-hush-hush"}))


def test_the_session_key_is_made_once_and_kept_to_ourselves(tmp_path: Path) -> None:
    settings = servers.configured(tmp_path / "made" / "on the way")
    first = config.session_secret(settings)
    assert len(first) == 64
    assert config.session_secret(settings) == first
    assert (tmp_path / "made/on the way/session.key").stat().st_mode & 0o077 == 0
    assert config.session_secret(servers.configured(tmp_path, SESSION_SECRET="given by the operator")) == "given by the operator"


DSNS = {
    "root:123456@tcp(localhost:3306)/oneapi": "mysql+pymysql://root:123456@localhost:3306/oneapi",
    "u:p@tcp(db)/one-api?charset=utf8mb4&parseTime=True&loc=Asia%2FShanghai": "mysql+pymysql://u:p@db:3306/one-api",
    "u:p:/@w@tcp([::1]:3307)/d": "mysql+pymysql://u:p%3A%2F%40w@[::1]:3307/d",
    "u@unix(/run/mysqld/mysqld.sock)/d?timeout=5s": "mysql+pymysql://u@/d?unix_socket=%2Frun%2Fmysqld%2Fmysqld.sock",
    "u:p@/d": "mysql+pymysql://u:p@127.0.0.1:3306/d",
    "mysql://u:p%40@h/d": "mysql+pymysql://u:p%40@h/d",
    "mariadb+pymysql://u@h:1/d": "mysql+pymysql://u@h:1/d",
    "mysql://u@h/d?charset=utf8mb4&parseTime=True&loc=Local&collation=utf8mb4_general_ci&timeout=5s&readTimeout=1m&writeTimeout=1m"
    "&interpolateParams=true&multiStatements=true&checkConnLiveness=false&maxAllowedPacket=0&allowNativePasswords=true&tls=false"
    "&clientFoundRows=true&columnsWithAlias=true&rejectReadOnly=true&serverPubKey=x&timeTruncate=1us&connectionAttributes=a:b"
    "&allowAllFiles=true&allowCleartextPasswords=1&allowFallbackToPlaintext=true&allowOldPasswords=true&compress=true":
        "mysql+pymysql://u@h/d",
    "mysql://u@h/d?useSSL=false&serverTimezone=UTC&allowPublicKeyRetrieval=true&connection_limit=5": "mysql+pymysql://u@h/d",
    "mysql://u:p@tcp(h:3307)/d?parseTime=true": "mysql+pymysql://u:p@h:3307/d",
    "mysql://u@h/d?connect_timeout=3&unixSocket=/s": "mysql+pymysql://u@h/d?connect_timeout=3&unix_socket=%2Fs",
    "postgres://u@h/d?sslmode=no-verify&pgbouncer=true&connection_limit=1": "postgresql+psycopg://u@h/d?sslmode=require",
    "postgres://u@h/d?ssl=true&schema=app": "postgresql+psycopg://u@h/d?options=-c+search_path%3Dapp&sslmode=require",
    "host=h user=u dbname=d TimeZone=Asia/Shanghai sslmode=disable": "postgresql+psycopg://u@h/d?sslmode=disable",
    "sqlite:////data/x.db?_busy_timeout=5000": "sqlite:////data/x.db",
    "postgres://u:p@h:5432/d?sslmode=disable": "postgresql+psycopg://u:p@h:5432/d?sslmode=disable",
    "postgresql://u:p@ss@h/d": "postgresql+psycopg://u:p%40ss@h/d",
    "postgres://u@h/d?TimeZone=Asia/Shanghai&pool_max_conns=9": "postgresql+psycopg://u@h/d",
    "host=h user=u password='a\\'b c' dbname=d port=5433": "postgresql+psycopg://u:a%27b c@h:5433/d",
    "host=/run/postgresql dbname=d": "postgresql+psycopg:///d?host=%2Frun%2Fpostgresql",
    "sqlite:////data/x.db": "sqlite:////data/x.db",
}


@pytest.mark.parametrize(("dsn", "expected"), DSNS.items())
def test_every_form_of_dsn_is_understood(dsn: str, expected: str) -> None:
    found = db.url(dsn, sqlite_path="/unused")
    assert found.difference_update_query(["charset"]).render_as_string(hide_password=False).replace("%20", " ") == expected
    assert ("charset" in found.query) == expected.startswith("mysql")


def test_go_s_words_for_tls_are_translated() -> None:
    assert "ssl_ca" in db.url("u:p@tcp(h)/d?tls=true", sqlite_path="").query
    assert db.url("u:p@tcp(h)/d?tls=skip-verify", sqlite_path="").query["ssl_check_hostname"] == "false"
    assert not {q for q in db.url("u:p@tcp(h)/d?tls=false", sqlite_path="").query if q.startswith("ssl")}


@pytest.mark.parametrize("words", ["ssl-mode=REQUIRED", "sslmode=require", "ssl_mode=required", "useSSL=true", "tls=skip-verify"])
def test_tls_without_a_known_certificate_is_asked_for_in_many_words(words: str) -> None:
    found = {k: v for k, v in db.url(f"mysql://u@h/d?{words}", sqlite_path="").query.items() if k.startswith("ssl")}
    assert found == {"ssl_check_hostname": "false"}


@pytest.mark.parametrize("words", ["ssl-mode=VERIFY_IDENTITY", "sslmode=verify-full", "tls=true", "sslaccept=strict"])
def test_tls_with_a_known_certificate_is_asked_for_in_many_words(words: str) -> None:
    found = db.url(f"mysql://u@h/d?{words}", sqlite_path="").query
    assert "ssl_ca" in found and "ssl_check_hostname" not in found
    assert db.url(f"mysql://u@h/d?{words}&ssl-ca=/own.pem", sqlite_path="").query["ssl_ca"] == "/own.pem"


@pytest.mark.parametrize(
    ("dsn", "sentence"),
    [
        ("mysql://u:hush@h/d?nonsense=1", "SQL_DSN: the parameter nonsense is not known for MySQL; leave it out."),
        ("mysql://u:hush@h/d?ssl-mode=SOMETIMES", "SQL_DSN: ssl-mode must be DISABLED, PREFERRED, REQUIRED, VERIFY_CA or VERIFY_"
         "IDENTITY."),
        ("mysql://u:hush@h/d?connect_timeout=5s", "SQL_DSN: connect_timeout must be a whole number above 0."),
    ],
)
def test_a_parameter_that_cannot_be_used_is_named(dsn: str, sentence: str) -> None:
    with pytest.raises(Invalid) as caught:
        db.url(dsn, sqlite_path="")
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    "dsn", ["nonsense", "u:hush@tcp(h:x)/d", "oracle://u:hush@h/d", "postgres://u:hush@h", "mysql://u:hush@h:y/d"]
)
def test_a_bad_dsn_is_refused_without_being_quoted(dsn: str) -> None:
    with pytest.raises(Invalid) as caught:
        db.url(dsn, sqlite_path="", name="LOG_SQL_DSN")
    assert "LOG_SQL_DSN: give user:password@tcp(host:3306)/name" in str(caught.value)
    assert "hush" not in str(caught.value)


def test_the_file_of_the_old_project_in_the_working_folder_is_taken_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert db.sqlite_file(config.load({})) == str(tmp_path / "instance" / "one-api.db")
    (tmp_path / "one-api.db").touch()
    assert db.sqlite_file(config.load({})) == str(tmp_path / "one-api.db")
    assert db.sqlite_file(config.load({"INSTANCE_PATH": "/else"})) == "/else/one-api.db"
    assert db.sqlite_file(config.load({"SQLITE_PATH": "my.db?_busy_timeout=5000"})) == str(tmp_path / "my.db")


def test_what_was_asked_of_sqlite_is_in_force(tmp_path: Path) -> None:
    with (
        servers.opened(servers.configured(tmp_path, SQLITE_BUSY_TIMEOUT="1234")) as databases,
        databases.transaction() as session,
    ):
        asked = ("journal_mode", "busy_timeout", "synchronous", "foreign_keys")
        assert [session.execute(text(f"PRAGMA {name}")).scalar() for name in asked] == ["wal", 1234, 2, 1]


def test_pool_settings_reach_the_pool(tmp_path: Path) -> None:
    given = {"SQL_MAX_IDLE_CONNS": "7", "SQL_MAX_OPEN_CONNS": "9", "SQL_CONN_MAX_LIFETIME": "2"}
    at = db.url("u:p@tcp(h)/d", sqlite_path="")
    options = db.engine_options(at, servers.configured(tmp_path, **given))
    assert (options["pool_size"], options["max_overflow"], options["pool_recycle"]) == (7, 2, 120)
    assert db.engine_options(at, servers.configured(tmp_path, **given, SQL_MAX_LIFETIME="30"))["pool_recycle"] == 30
    assert db.engine_options(at, servers.configured(tmp_path, SQL_MAX_OPEN_CONNS="3"))["pool_size"] == 3


def app_py(folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return started(folder, "app.py", *words, **variables)


def started(folder: Path, way: str, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """A start from a folder of its own that is expected to end by itself."""
    clean = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "LANG")}
    clean |= {"INSTANCE_PATH": str(folder / "instance"), "LOG_DIR": str(folder / "logs"), **variables}
    command = [sys.executable, str(ROOT / "app.py")]
    if way == "gunicorn":
        command = [sys.executable, "-m", "gunicorn", "-c", str(ROOT / "gunicorn.conf.py"), "--pythonpath", str(ROOT), "wsgi:app"]
    return subprocess.run(
        [*command, *words], cwd=folder, capture_output=True, text=True, env=clean | {"PYTHONPATH": str(ROOT)}, timeout=60
    )


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"PORT": "abc"}, "PORT: give a whole number, not 'abc'."),
        ({"SQL_DSN": "root:hush@tcp(127.0.0.1:1)/d"}, "The mysql database 127.0.0.1:1/d cannot be used"),
        ({"SQL_DSN": "postgres://root:hush@127.0.0.1:1/d"}, "The postgresql database 127.0.0.1:1/d cannot be used"),
        ({"SQLITE_PATH": "app.db"}, "app.db cannot be used: file is not a database"),
        ({"SQL_DSN": "mysql://root:hush@127.0.0.1:1/d?parseTime=True&loc=Local"}, "mysql database 127.0.0.1:1/d cannot be used"),
        ({"SQL_DSN": "mysql://root:hush@127.0.0.1:1/d?nonsense=1"}, "SQL_DSN: the parameter nonsense is not known for MySQL"),
        ({"SQL_DSN": "mysql://root:hush@127.0.0.1:99999/d"}, "The mysql database 127.0.0.1:99999/d cannot be used"),
        ({"SQL_DSN": "postgres://root:hush@127.0.0.1:1/d?sslmode=often"}, "invalid sslmode value"),
        ({"NODE_TYPE": "slave"}, "start the master node"),
        ({"LOG_DIR": "/proc/none"}, "LOG_DIR: no log can be kept in /proc/none"),
        ({"INSTANCE_PATH": "/proc/none"}, "INSTANCE_PATH: the session key cannot be kept in /proc/none"),
        ({"INSTANCE_PATH": "/proc/none", "SESSION_SECRET": "ours", "SQLITE_PATH": "fine.db"}, "/proc/none cannot be"),
        ({"INSTANCE_PATH": "/proc/none", "SESSION_SECRET": "ours", "SQL_DSN": "root@tcp(h)/d"}, "/proc/none cannot be"),
        ({"INSTANCE_PATH": "app.db/x", "SESSION_SECRET": "ours", "SQLITE_PATH": "fine.db"}, "app.db/x cannot be written"),
        ({"REDIS_CONN_STRING": "redis://:hush@h:x"}, "REDIS_CONN_STRING: give a number from 0 to 65535 as the port."),
        ({"REDIS_CONN_STRING": "redis://one:p@hush#w/rd@127.0.0.1:21160/2"}, "as %23, %2F, %3F and %40."),
        ({"REDIS_CONN_STRING": "redis://127.0.0.1:6379/abc"}, "REDIS_CONN_STRING: give a number as the database, such as"),
        ({"ONEAPI_WORKERS": "four"}, "ONEAPI_WORKERS: give a whole number, not 'four'."),
        ({"RELAY_PROXY": "ftp://h", "SYNC_FREQUENCY": "0"}, "SYNC_FREQUENCY: give 1 or more. RELAY_PROXY: give a proxy such as"),
    ],
)
@pytest.mark.parametrize("way", ["app.py", "gunicorn"])
def test_a_start_that_cannot_be_ends_with_one_sentence(
    tmp_path: Path, way: str, variables: dict[str, str], sentence: str
) -> None:
    (tmp_path / "app.db").write_text("no database at all, " * 100)
    ended = started(tmp_path, way, **variables)
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr and "hush" not in ended.stderr
    (told,) = (line for line in ended.stderr.strip().splitlines() if "[INFO] Starting gunicorn" not in line)
    assert sentence in told


def test_what_gunicorn_reads_before_us_stops_the_start_and_names_the_variable(tmp_path: Path) -> None:
    """The day that this ends with our sentence, docs/configuration.md need not excuse it any longer."""
    said = "WEB_CONCURRENCY: give a whole number, not 'four'."
    ended = started(tmp_path, "gunicorn", WEB_CONCURRENCY="four")
    assert ended.returncode != 0 and "WEB_CONCURRENCY" in ended.stderr and said not in ended.stderr
    (tmp_path / ".env").write_text("WEB_CONCURRENCY=four")  # here gunicorn does not look
    ended = started(tmp_path, "gunicorn")
    assert (ended.returncode, ended.stderr.strip()) == (2, said)


def test_an_address_that_cannot_be_had_ends_the_start_with_one_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = app_py(tmp_path, HOST="127.0.0.1", PORT=port, INITIAL_ROOT_TOKEN="x")
    assert ended.returncode == 2 and "Traceback" not in ended.stderr
    said = f"HOST, PORT: 127.0.0.1:{port} cannot be listened on (Address already in use); choose others, or end what uses them."
    assert ended.stderr.strip().splitlines()[-1] == said


def test_flags_that_only_tell(tmp_path: Path) -> None:
    assert app_py(tmp_path, "--version").stdout.strip() == config.VERSION
    assert "--log-dir" in app_py(tmp_path, "--help").stdout


@pytest.mark.parametrize(
    ("words", "variables", "dotenv", "part"),
    [
        (("--port", "70001"), {}, "", "PORT: give a number"),
        (("--port", "abc"), {}, "", "PORT: give a whole number, not 'abc'."),
        (("--port", "70001"), {"PORT": "x"}, "", "not 'x'"),
        ((), {}, "PORT=y\n", "not 'y'"),
        ((), {"PORT": "x"}, "PORT=y\n", "not 'x'"),
    ],
)
def test_the_environment_beats_the_dotenv_file_and_the_flag(
    tmp_path: Path, words: tuple[str, ...], variables: dict[str, str], dotenv: str, part: str
) -> None:
    (tmp_path / ".env").write_text(dotenv)
    assert part in app_py(tmp_path, *words, **variables).stderr


def test_the_log_folder_may_be_a_flag(tmp_path: Path) -> None:
    ended = app_py(tmp_path, "--log-dir", str(tmp_path / "here"), SQL_DSN="u:p@tcp(127.0.0.1:1)/d")
    assert ended.returncode == 2
    assert not (tmp_path / "logs").exists()


def test_an_empty_log_folder_means_standard_error_only() -> None:
    assert config.load({"LOG_DIR": ""}).log_dir == ""
    assert config.load({}).log_dir == "logs"
