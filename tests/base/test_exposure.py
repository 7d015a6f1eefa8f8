"""Without ALLOW_INSECURE nothing is sent in clear to another host: tables of settings, and whether they are refused."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from base import settings
from base.settings import DatabaseSettings, Settings
from base.trouble import StageError, Status
from kit.quirky_postgres import in_the_middle
from postgres.database import Database

SERVICES = """\
[far]
host=db.example.com
[far_verified]
host=db.example.com
sslmode=verify-full
[far_careless]
host=db.example.com
sslmode=require
[here]
host=localhost
[twice]
host=db.example.com
host=localhost
"""
PROXIES = [name for scheme in ("http", "https", "no", "all") for name in (f"{scheme}_proxy", f"{scheme.upper()}_PROXY")]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[pytest.MonkeyPatch]:
    """What libpq and proxies look for in the environment: nothing but a home, and a file of services to be named."""
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "services").write_text(SERVICES)
    yield monkeypatch


def problem(kind: type[DatabaseSettings], given: dict[str, str], monkeypatch: pytest.MonkeyPatch, folder: Path) -> str:
    """Return what is said of settings, or nothing if they are good; TMP stands for the folder."""
    for name, value in given.items():
        monkeypatch.setenv(name, value.replace("TMP", str(folder)))
    try:
        settings.load(kind)
    except StageError as error:
        assert error.status == Status.SETTINGS
        return str(error)
    return ""


def url(address: str, **more: str) -> dict[str, str]:
    return {"DATABASE_URL": address} | more


FAR = "postgresql://etl:hunter2@db.example.com/x"
SERVICE = {"PGSERVICEFILE": "TMP/services"}

GOOD = [
    {},
    url("dbname=x"),
    url("postgresql:///x"),
    url("postgresql://etl:hunter2@localhost/x"),
    url("postgresql://LOCALHOST:5433/x?sslmode=disable"),
    url("postgresql://127.0.0.1/x"),
    url("host=127.255.3.4 sslmode=prefer"),
    url("postgresql://[::1]/x"),
    url("host=0:0:0:0:0:0:0:1"),
    url("host=/var/run/postgresql"),
    url("postgresql://%2Ftmp/x"),
    {"PGHOST": "@visits"},
    url("host=''"),
    # verified
    url(f"{FAR}?sslmode=verify-full"),
    url(f"{FAR}?sslmode=verify-full&sslrootcert=/etc/ssl/ca.pem"),
    url(f"{FAR}?sslrootcert=system"),  # libpq then means verify-full
    url("host=10.0.0.5 sslmode=verify-full"),
    # several hosts
    url("postgresql://localhost,127.0.0.1:5433/x"),
    url("host=/tmp,::1"),
    url("postgresql://a.example.com,b.example.com/x?sslmode=verify-full"),
    # hostaddr decides
    url("host=db.example.com hostaddr=127.0.0.1"),
    url("hostaddr=::1"),
    url("host=a.example.com,b.example.com hostaddr=127.0.0.1,::1"),
    url("host=localhost,db.example.com hostaddr=,127.0.0.1"),
    # PG* where the address says nothing
    {"PGHOST": "db.example.com", "PGSSLMODE": "verify-full"},
    {"PGHOST": "db.example.com", "PGSSLROOTCERT": "system"},
    {"PGHOST": "localhost"},
    {"PGHOST": ""},
    {"PGHOST": "db.example.com", "PGHOSTADDR": "127.0.0.1"},
    url("sslmode=verify-full", PGHOST="db.example.com"),
    url("host=localhost", PGHOST="db.example.com"),
    url(FAR, PGSSLMODE="verify-full"),
    # services: behind the address, before PG*
    url("service=far_verified", **SERVICE),
    url("service=here", PGHOST="db.example.com", **SERVICE),
    url("service=far host=localhost", **SERVICE),
    url("service=far sslmode=verify-full", **SERVICE),
    url("service=far", PGSSLMODE="verify-full", **SERVICE),
    url("postgresql:///x?service=far_verified", **SERVICE),
    SERVICE | {"PGSERVICE": "far_verified"},
    SERVICE | {"PGSERVICE": "here", "PGHOST": "db.example.com"},
    url("service=here", PGSERVICE="far", **SERVICE),
    # allowed
    url(FAR, ALLOW_INSECURE="true"),
    {"PGHOST": "db.example.com", "ALLOW_INSECURE": "yes"},
]
BAD = [  # and the host that is named
    (url(FAR), "db.example.com"),
    *((url(f"{FAR}?sslmode={mode}"), "db.example.com") for mode in ("disable", "allow", "prefer", "require", "verify-ca")),
    (url("host=db sslmode=verify-ca sslrootcert=/etc/ssl/ca.pem"), "db"),
    (url("host=10.0.0.5"), "10.0.0.5"),
    # what only looks like this host
    (url("host=localhost.example.com"), "localhost.example.com"),
    (url("host=127.0.0.1.example.com"), "127.0.0.1.example.com"),
    *((url(f"host={host}"), host) for host in ("127.1", "2130706433", "0x7f000001", "0.0.0.0", "localhost.", "128.0.0.1")),
    *((url(f"host={host}"), host) for host in ("::2", "::", "fe80::1", "::ffff:10.0.0.5")),
    # several hosts, of which one is enough
    (url("postgresql://localhost,db.example.com/x"), "db.example.com"),
    (url("host=/tmp,localhost,10.0.0.5"), "10.0.0.5"),
    (url("postgresql://a.example.com,b.example.com/x?sslmode=require"), "a.example.com"),
    # hostaddr decides
    (url("host=localhost hostaddr=10.0.0.5"), "localhost"),
    (url("host=/tmp hostaddr=10.0.0.5"), "/tmp"),
    (url("hostaddr=10.0.0.5"), "10.0.0.5"),
    (url("host=a.example.com,b.example.com hostaddr=127.0.0.1,10.0.0.5"), "b.example.com"),
    (url("host=localhost,db.example.com hostaddr=127.0.0.1,"), "db.example.com"),
    (url("host=localhost", PGHOSTADDR="10.0.0.5"), "localhost"),
    # PG*
    ({"PGHOST": "db.example.com"}, "db.example.com"),
    ({"PGHOST": "db.example.com", "PGSSLMODE": "require"}, "db.example.com"),
    ({"PGHOST": "db.example.com", "PGREQUIRESSL": "1"}, "db.example.com"),
    ({"PGHOSTADDR": "10.0.0.5"}, "10.0.0.5"),
    ({"PGHOST": "localhost,db.example.com"}, "db.example.com"),
    (url("dbname=x", PGHOST="db.example.com"), "db.example.com"),
    (url(f"{FAR}?sslmode=require", PGSSLMODE="verify-full"), "db.example.com"),
    # services
    (url("service=far", **SERVICE), "db.example.com"),
    (url("service=far_careless", PGSSLMODE="verify-full", **SERVICE), "db.example.com"),
    (url("service=twice", **SERVICE), "db.example.com"),  # the first line counts
    (url("service=here host=db.example.com", **SERVICE), "db.example.com"),
    (url("service=here", PGHOSTADDR="10.0.0.5", **SERVICE), "localhost"),
    (SERVICE | {"PGSERVICE": "far", "PGHOST": "localhost"}, "db.example.com"),
    (url("", ALLOW_INSECURE="false", PGHOST="db.example.com"), "db.example.com"),
]


@pytest.mark.parametrize("given", GOOD, ids=str)
def test_a_database_that_nobody_else_can_listen_to(
    given: dict[str, str], environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert problem(DatabaseSettings, given, environment, tmp_path) == ""


@pytest.mark.parametrize(("given", "host"), BAD, ids=str)
def test_a_database_to_which_others_could_listen(
    given: dict[str, str], host: str, environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    said = problem(DatabaseSettings, given, environment, tmp_path)
    assert said.startswith("1 problem in the settings: DATABASE_URL: sslmode=")
    assert f"lets others read what goes to {host}; add sslmode=verify-full" in said
    assert "hunter2" not in said
    assert problem(DatabaseSettings, {"ALLOW_INSECURE": "true"}, environment, tmp_path) == ""


@pytest.mark.parametrize(
    ("folder", "names"), [(".pg_service.conf", {}), ("etc/pg_service.conf", {"PGSYSCONFDIR": "TMP/etc"})], ids=["home", "system"]
)
def test_where_services_lie(folder: str, names: dict[str, str], environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / folder).parent.mkdir(exist_ok=True)
    (tmp_path / folder).write_text(SERVICES)
    assert problem(DatabaseSettings, url("service=far_verified", **names), environment, tmp_path) == ""
    assert "db.example.com" in problem(DatabaseSettings, url("service=far"), environment, tmp_path)


def test_a_service_that_is_not_there(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    said = problem(DatabaseSettings, url("service=nowhere", **SERVICE), environment, tmp_path)
    assert 'DATABASE_URL: definition of service "nowhere" not found' in said


MAIL = {"SMTP_HOST": "mail.example.com", "SMTP_USER": "etl", "SMTP_PASSWORD": "hunter2", "SMTP_STARTTLS": "false"}
LOGIN = "SMTP_STARTTLS: without it others read SMTP_PASSWORD on its way to mail.example.com"
WEB = "{}: the address itself is a secret, and http lets others read it; write https"
CHANNELS = [
    (MAIL, LOGIN),
    (MAIL | {"SMTP_PORT": "25"}, LOGIN),
    (MAIL | {"SMTP_PORT": "465"}, ""),
    (MAIL | {"SMTP_STARTTLS": "true"}, ""),
    (MAIL | {"SMTP_STARTTLS": ""}, ""),
    (MAIL | {"SMTP_USER": ""}, ""),
    (MAIL | {"SMTP_HOST": ""}, ""),
    (MAIL | {"SMTP_HOST": "localhost"}, ""),
    (MAIL | {"SMTP_HOST": "127.0.0.1"}, ""),
    (MAIL | {"SMTP_HOST": "127.1"}, "on its way to 127.1"),
    (MAIL | {"ALLOW_INSECURE": "true"}, ""),
]
ADDRESSES = [
    ({"URL": "http://hooks.example.com/hunter2"}, WEB),
    ({"URL": "HTTP://hooks.example.com/hunter2"}, WEB),
    ({"URL": "http://localhost@hooks.example.com/hunter2"}, WEB),
    ({"URL": "http://10.0.0.5/hunter2"}, WEB),
    ({"URL": "http://127.1/hunter2"}, WEB),
    ({"URL": "https://hooks.example.com/hunter2"}, ""),
    ({"URL": "HTTPS://hooks.example.com/hunter2"}, ""),
    ({"URL": "http://localhost:8000/hunter2"}, ""),
    ({"URL": "http://127.0.0.1:8000/hunter2"}, ""),
    ({"URL": "http://[::1]:8000/hunter2"}, ""),
    ({"URL": "http://hooks.example.com/hunter2", "ALLOW_INSECURE": "true"}, ""),
    # a proxy is another host
    ({"URL": "http://localhost/hunter2", "HTTP_PROXY": "http://proxy.example.com:3128"}, WEB),
    ({"URL": "http://localhost/hunter2", "http_proxy": "http://127.0.0.1:3128"}, WEB),
    ({"URL": "http://localhost/hunter2", "HTTP_PROXY": "http://proxy.example.com:3128", "NO_PROXY": "localhost"}, ""),
    ({"URL": "http://localhost/hunter2", "HTTPS_PROXY": "http://proxy.example.com:3128"}, ""),
    ({"URL": "https://hooks.example.com/hunter2", "HTTPS_PROXY": "http://proxy.example.com:3128"}, ""),
]
ADDRESSES = [
    ({name if key == "URL" else key: value for key, value in given.items()}, said.format(name))
    for name in ("SLACK_WEBHOOK_URL", "HEALTHCHECK_URL")
    for given, said in ADDRESSES
]


@pytest.mark.parametrize(("given", "expected"), CHANNELS + ADDRESSES, ids=str)
def test_channels(given: dict[str, str], expected: str, environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    said = problem(Settings, {"SFTP_HOST": "h", "SFTP_USER": "u"} | given, environment, tmp_path)
    assert expected in said
    assert bool(expected) == bool(said)
    assert "hunter2" not in said


ALL = MAIL | url(FAR, SLACK_WEBHOOK_URL="http://hooks.example.com/hunter2", HEALTHCHECK_URL="http://hc.example.com/hunter2")


def test_all_at_once(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    said = problem(Settings, ALL | {"SFTP_HOST": "h", "SFTP_USER": "u", "ALLOW_INSECURE": "maybe"}, environment, tmp_path)
    assert said.startswith("5 problems in the settings: ALLOW_INSECURE: ")
    for name in ("DATABASE_URL", "SMTP_STARTTLS", "SLACK_WEBHOOK_URL", "HEALTHCHECK_URL"):
        assert f"; {name}: " in said
    assert "hunter2" not in said


@pytest.mark.parametrize("where", ["DATABASE_URL", "PGHOST"])
def test_people_are_told_and_no_database_is_asked(where: str, environment: pytest.MonkeyPatch) -> None:
    """Not the one that is refused, and no other."""
    with in_the_middle() as (port, heard):
        for name, value in (
            MAIL | {"PGPORT": str(port), "PGHOST": "127.1", "HEALTHCHECK_URL": "https://hc.example.com/x"}
        ).items():
            environment.setenv(name, value)
        if where == "DATABASE_URL":
            environment.setenv("DATABASE_URL", f"postgresql://etl:hunter2@127.1:{port}/x")
            environment.setenv("PGHOST", "127.0.0.1")  # which would be good
        sound = settings.load_sound()
        with pytest.raises(StageError) as caught, Database(sound).transaction():
            pass
        assert (caught.value.status, heard) == (Status.SETTINGS, [])
    assert (sound.smtp_starttls, sound.smtp_host) == (True, "mail.example.com")
    assert sound.healthcheck_url


def test_looking_is_not_connecting(environment: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """libpq is asked what it would do: it does not do it, and looks for no password."""
    (tmp_path / ".pgpass").write_text("*:*:*:*:hunter2\n")
    (tmp_path / ".pgpass").chmod(0o644)  # of which libpq would warn
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"postgresql://127.0.0.1:{listener.getsockname()[1]}/x"
        assert problem(DatabaseSettings, url(address), environment, tmp_path) == ""
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()
    assert capfd.readouterr() == ("", "")
