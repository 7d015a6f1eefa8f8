"""What people type: make's targets take values as they are typed, agree with the program, and harm no installation."""

import os
import re
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest

from kit.checkout import Checkout
from kit.lake import need_spark

HOSTILE = [
    "$(shell touch pwned)",
    "${shell touch pwned}",
    "`touch pwned`",
    "';touch pwned;'",
    '"$(touch pwned)" a  b',
    "a$b$$c#d\\",
    "ñ 😀",
]


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path / "visits here")


@pytest.mark.parametrize("typed", HOSTILE)
def test_values_reach_the_program_as_they_are_typed(checkout: Checkout, database: str, typed: str) -> None:
    settings = {"DATABASE_URL": database, "SFTP_HOST": "x", "SFTP_USER": "x"}
    for given in ([f"FILE={typed}"], [f"FILE={typed}", "-n"], [f"FILE={typed}", f"OTHER={typed}", "LINE=1"]):
        done = checkout.make("-s", "explain" if "LINE=1" in given else "history", *given, **settings)
        assert not list(checkout.folder.rglob("pwned"))
        if "-n" not in given:
            assert done.stdout == f"The load log does not know {typed}.\n", done.stderr
    done = checkout.make("-s", "explain", f"EMAIL={typed}", **settings)
    assert done.stdout.startswith(f"No line of {typed} has been loaded."), done.stderr
    checkout.make("report", f"REPORT={typed}", **settings)
    assert not list(checkout.folder.rglob("pwned"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["explain"], "make explain: one of the variables EMAIL= FILE= is required"),
        (["explain", "FILE=x"], "make explain: FILE= needs LINE=, 1 or more"),
        (["explain", "FILE=x", "LINE=two"], "make explain: LINE=: invalid int value: 'two'"),
        (["explain", "EMAIL="], "make explain: EMAIL=: it is empty"),
        (["history", "FILE="], "make history: FILE=: it is empty"),
        (["report", "MONTH=2013-13"], "make report: MONTH=: '2013-13' is no month; write it as 2013-02"),
        (["schedule", "HOUR=24"], "make schedule: HOUR=: invalid choice: 24 (choose from 0, 1, 2"),
    ],
)
def test_what_was_typed_wrong_is_named_as_it_was_typed(checkout: Checkout, arguments: list[str], said: str) -> None:
    done = checkout.make("-s", *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith(said)
    assert "--" not in done.stderr


SET = ["DATABASE_URL={}", "DATABASE_URL = {}", "  export DATABASE_URL='{}'", 'DATABASE_URL="{}" # so']


@pytest.mark.parametrize("line", SET)
def test_make_and_the_program_agree_on_the_database(checkout: Checkout, postgres_without_schema: str, line: str) -> None:
    (checkout.folder / ".env").write_text(line.format(postgres_without_schema))
    done = checkout.make("postgres-setup")
    assert done.returncode == 0, done.stderr
    assert "embedded" not in done.stdout
    with psycopg2.connect(postgres_without_schema) as connection, connection.cursor() as cursor:
        cursor.execute("select count(*) from visitor")


@pytest.fixture
def postgres_without_schema(postgres: "object", request: pytest.FixtureRequest) -> Iterator[str]:
    name = f"bare_{abs(hash(request.node.nodeid))}"
    yield postgres.create(name, "template0")  # type: ignore[attr-defined]
    postgres.drop(name)  # type: ignore[attr-defined]


def test_a_settings_file_that_cannot_be_read_stops_make(checkout: Checkout) -> None:
    (checkout.folder / ".env").write_text("DATABASE_URL: postgresql://x/y\n")
    done = checkout.make("postgres-setup")
    assert done.returncode == 2
    assert f"line 1 of {checkout.folder}/.env cannot be read" in done.stderr
    assert "embedded" not in done.stdout


def test_clean_leaves_an_installation(checkout: Checkout) -> None:
    (checkout.folder / "logs" / "etl.log").touch()
    (checkout.folder / ".env").write_text("SFTP_HOST=x\n")
    done = checkout.make("clean")
    assert done.returncode == 2
    assert "The night is installed here: there is the settings file .env. Nothing was removed." in done.stderr
    assert (checkout.folder / ".venv" / "python").exists()
    (checkout.folder / ".env").unlink()
    assert checkout.make("clean").returncode == 0
    assert not (checkout.folder / ".venv").exists()
    assert not (checkout.folder / "logs" / "etl.log").exists()


@pytest.mark.parametrize("target", ["testing", "postgres-setup", "clean", "schedule", "test", "check", "sftp-setup"])
def test_a_dry_run_does_nothing(checkout: Checkout, target: str) -> None:
    before = {path: path.lstat().st_mtime_ns for path in checkout.folder.rglob("*") if "__pycache__" not in str(path)}
    done = checkout.make("-n", target)
    assert done.returncode == 0, done.stderr
    assert {path: path.lstat().st_mtime_ns for path in checkout.folder.rglob("*") if "__pycache__" not in str(path)} == before


@pytest.mark.parametrize(
    ("target", "locks"),
    [
        ("etl-setup", ["etl"]),
        ("testing", ["etl", "sql"]),
        ("lake-setup", ["etl", "etl/spark"]),
        ("report", ["etl", "etl/commands/monthly"]),
        ("test", ["etl", "etl/commands/monthly", "sql", "tests"]),
    ],
)
def test_targets_install_from_locks_and_only_what_they_need(checkout: Checkout, target: str, locks: list[str]) -> None:
    for stamp in ("etl", "monthly", "postgres", "spark", "tests"):
        (checkout.folder / ".venv" / stamp).unlink()
    shown = checkout.make("-n", target).stdout
    found = re.findall(
        r" install .* --require-hashes --only-binary :all: --no-deps(?: --no-binary pyspark \S+)? -r (\S+)/requirements\.lock\n",
        shown,
    )
    assert sorted(found) == locks
    assert shown.count(" install ") == len(locks)


@pytest.fixture
def tryout() -> Iterator[Checkout]:
    """A folder in which somebody tries a night; root's Postgres, which is another user's, may enter it."""
    with tempfile.TemporaryDirectory(prefix="v") as top:
        Path(top).chmod(0o755)
        checkout = Checkout(Path(top) / "try out")
        yield checkout
        checkout.make("postgres-stop")


def test_a_try_out(tryout: Checkout) -> None:
    """It knows that it is one: no server, no cron line and no clock are missing there."""
    bare = {"HOME": ""}
    done = tryout.make("testing", **bare)
    assert done.returncode == 0, done.stderr
    assert " 4 files " in done.stdout
    for target in ("status", "check"):
        done = tryout.make(target, **bare)
        assert done.returncode == 0, done.stdout
        assert "This is a try-out, made by make testing." in done.stdout
    done = tryout.make("report", "MONTH=2013-01", **bare)
    assert done.returncode == 0, done.stderr
    assert "Nothing is known of January 2013" in done.stdout
    assert "The newest mails are of February 2013: make report MONTH=2013-02\n" in done.stdout
    assert "needs a person" not in done.stdout


@pytest.mark.lake
@pytest.mark.xdist_group("lake")
def test_a_try_out_with_spark(tryout: Checkout) -> None:
    """With Spark's own defaults: in processes of this machine."""
    need_spark()
    done = tryout.make("testing", "ENGINE=spark")
    assert done.returncode == 0, done.stderr
    assert " 4 files " in done.stdout
    assert "Look at the tables: make lake-sql" in done.stdout
    shown = tryout.make("lake-sql")
    assert shown.returncode == 0, shown.stderr
    checked = tryout.make("check")
    assert checked.returncode == 0, checked.stdout
    for engine, said in {"sprak": "ENGINE: ", "postgres": "the history is in the lake, and ENGINE is postgres."}.items():
        done = tryout.make("testing", f"ENGINE={engine}")
        assert done.returncode == 2
        assert said in done.stderr


def test_two_try_outs_at_once_and_one_that_is_interrupted(tryout: Checkout) -> None:
    done = tryout.make("testing")
    assert done.returncode == 0, done.stderr
    with tryout.begin("testing") as first:
        assert first.stdout
        assert first.stderr
        said = []
        while not said or not said[-1].startswith("Running"):
            said.append(first.stdout.readline())
            assert said[-1], first.stderr.read()
        second = tryout.make("testing")
        assert second.returncode == 2
        assert second.stdout == ""
        assert second.stderr.startswith("Another make testing is at work in this folder.")
        os.killpg(first.pid, signal.SIGINT)
        said += first.stdout
        complained = first.stderr.read()
    assert "Interrupted. The next run continues from here." in complained
    assert "Run 2" not in "".join(said)  # the summary is that of the run before
    assert tryout.make("testing").returncode == 0
