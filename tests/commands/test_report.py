"""The monthly report: every figure in every form, against figures counted from the delivered files."""

import csv
import html
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from kit.forty_nights import FIRST, NIGHTS, Forty
from kit.night import Night
from kit.receivers import mail_sink
from kit.servers import PATIENCE, OpenSSH, Postgres, need

pytestmark = pytest.mark.xdist_group("forty")  # the tests share one history

DECEMBER, JANUARY = (2012, 12), (2013, 1)
MONTHS = {"2012-12": (DECEMBER, None), "2013-01": (JANUARY, DECEMBER)}


@pytest.fixture(scope="module")
def forty(postgres: Postgres, openssh: OpenSSH, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forty]:
    """The forty nights, and the monthly reports of their two months."""
    night = Night(tmp_path_factory.mktemp("forty"), openssh.settings() | {"DATABASE_URL": postgres.create("forty")})
    made = Forty(night)
    for month in MONTHS:
        done = night.run("report", "--month", month, "--csv")
        assert (done.returncode, done.stderr) == (0, "")
        (night.folder / f"{month}.txt").write_text(done.stdout)
    yield made
    postgres.drop("forty")


def sheet(forty: Forty, month: str, name: str) -> list[list[str]]:
    """Return the rows of a CSV file, without the header."""
    with (forty.night.logs / f"report-{month}-{name}.csv").open(newline="") as file:
        return list(csv.reader(file))[1:]


def as_text(value: float | None) -> str:
    return "" if value is None else str(round(value, 4) if isinstance(value, float) else value)


def test_the_history_is_worth_reporting(forty: Forty) -> None:
    """Everything that can happen happens in the forty nights, and no report is lost."""
    statuses = sum((day.statuses for day in forty.days), Counter[str]())
    assert len(forty.days) == NIGHTS
    assert set(statuses) == {"loaded", "duplicate", "refused", "quarantined"}
    assert min(statuses.values()) > 2
    assert {status for _, status, *_ in forty.failures} == {"failed", "crashed"}
    assert sum(len(day.gaps) for day in forty.days) > 4
    assert forty.zipped() == statuses.total()
    assert forty.night.sql("select count(*), sum(rows_read), sum(rows_loaded) from load_file") == [
        (statuses.total(), sum(day.read for day in forty.days), sum(day.loaded for day in forty.days))
    ]


@pytest.mark.parametrize("month", MONTHS)
def test_figures(forty: Forty, month: str) -> None:
    this, before = MONTHS[month]
    found = sheet(forty, month, "figures")
    expected = forty.figures(*this)
    assert {name: value for name, value, _ in found} == {name: as_text(value) for name, value in expected.items()}
    if before:
        earlier = forty.figures(*before)
        assert {name: value for name, _, value in found} == {name: as_text(value) for name, value in earlier.items()}
    else:
        assert {value for _, _, value in found} == {"0", ""}


@pytest.mark.parametrize("month", MONTHS)
def test_days(forty: Forty, month: str) -> None:
    expected = [
        [
            str(day.day), str(day.nights), str(day.nights - day.failed), str(day.failed),
            as_text(day.seconds), str(day.statuses.total()),
            *(str(day.statuses[status]) for status in ("loaded", "duplicate", "refused", "quarantined")),
            str(day.read), str(day.loaded), str(day.read - day.loaded),
        ]
        for day in forty.month(*MONTHS[month][0])
    ]  # fmt: skip
    found = sheet(forty, month, "days")
    assert found[: len(expected)] == expected
    assert all(row[1:] == ["0", "0", "0", "", *["0"] * 8] for row in found[len(expected) :])


@pytest.mark.parametrize("month", MONTHS)
def test_rejects(forty: Forty, month: str) -> None:
    codes = sum((day.codes for day in forty.month(*MONTHS[month][0])), Counter[str]())
    assert {code: int(count) for code, count, *_ in sheet(forty, month, "rejects") if count != "0"} == dict(codes)


@pytest.mark.parametrize("month", MONTHS)
def test_reports_that_need_a_look(forty: Forty, month: str) -> None:
    expected = Counter((str(day.day), *map(str, row)) for day in forty.month(*MONTHS[month][0]) for row in day.notable)
    found = Counter(
        (day, name, status, lines, why.partition(":")[0] if status in ("refused", "quarantined") else why)
        for day, name, status, lines, why in sheet(forty, month, "reports")
    )
    assert found == expected


@pytest.mark.parametrize("month", MONTHS)
def test_nights_and_gaps(forty: Forty, month: str) -> None:
    days = forty.month(*MONTHS[month][0])
    assert sheet(forty, month, "nights") == [
        [f"{began:%Y-%m-%d %H:%M}", status, as_text(exit_status), as_text(seconds)]
        for began, status, exit_status, seconds in forty.failures
        if f"{began:%Y-%m}" == month
    ]
    silent = [(day, what) for day, what in sheet(forty, month, "silent") if day <= str(days[-1].day)]
    assert silent == [
        (str(day.day), "no files came" if day.nights else "no night in the load log")
        for day in days
        if not day.nights or (not day.failed and not day.statuses)
    ]
    came = {name for (name,) in forty.night.sql("select name from load_file")}
    names = sorted((name for day in days for name in day.gaps), key=lambda name: int(name[7:-4]))
    assert sheet(forty, month, "gaps") == [[name, "yes" if name in came else "no"] for name in names]
    assert {came for _, came in sheet(forty, "2012-12", "gaps")} == {"yes", "no"}


@pytest.mark.parametrize("month", MONTHS)
def test_page_and_terminal_say_the_same(forty: Forty, month: str) -> None:
    page = (forty.night.logs / f"report-{month}.html").read_text()
    shown = (forty.night.folder / f"{month}.txt").read_text()
    assert "\x1b" not in shown
    cells = [html.unescape(cell) for cell in re.findall(r"<td[^>]*>([^<]*)</td>", page)]
    lines = [" ".join(text.replace("│", " ").split()) for text in shown.splitlines()]
    for name, value in forty.figures(*MONTHS[month][0]).items():
        said = f"{value:,}" if isinstance(value, int) else f"{value:.1f}"
        if "share" in name:
            said = f"{value:.1%}".replace("%", " %")
        assert cells[cells.index(name) + 1] == said
        assert any(text.startswith(f"{name} {said}") for text in lines), name
    for name in ("rejects", "nights", "silent", "reports", "gaps", "days"):
        for row in sheet(forty, month, name):
            assert row[0] in cells
            assert any(text.startswith(row[0]) for text in lines)


def test_what_needs_a_person_comes_first(forty: Forty) -> None:
    page = (forty.night.logs / "report-2012-12.html").read_text()
    assert re.findall(r'class="need">([^<]*)<', page)[:2] == [
        "nights that failed: 2",
        "days without a night in the load log: 1",
    ]


def browser(folder: Path) -> list[str]:
    """Return the command of a browser without a screen. Its own requests reach no other host."""
    inside = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
    return ["--headless", "--no-sandbox", "--disable-gpu", inside, f"--user-data-dir={folder}/profile"]


def hosts(chromium: str, page: Path) -> set[str]:
    """Return the hosts that a page sends requests to; the browser's own requests do not count. The page must show no error."""
    log = page.with_suffix(".net")
    command = [chromium, *browser(page.parent), f"--log-net-log={log}", "--enable-logging=stderr", "--dump-dom", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE)
    assert ":CONSOLE" not in done.stderr or "127.0.0.1:9" in done.stderr
    return set(re.findall(r'"initiator":"(?!not an origin).*?"url":"https?://([^/"]+)', log.read_text()))


def test_no_request_leaves_the_page(forty: Forty, tmp_path: Path) -> None:
    chromium = need("chromium")
    page = (forty.night.logs / "report-2012-12.html").read_text()
    (tmp_path / "page.html").write_text(page)
    leaky = re.sub(r"<meta http-equiv[^>]*>", "", page).replace("</body>", '<img src="http://127.0.0.1:9/x"></body>')
    (tmp_path / "leaky.html").write_text(leaky)
    assert hosts(chromium, tmp_path / "page.html") == set()
    assert hosts(chromium, tmp_path / "leaky.html") == {"127.0.0.1:9"}  # a request would be seen
    assert not re.search(r"(src|href)=|url\((?!#)|@import|<script|<link", page.replace('xlink:href="#', ""))


@pytest.mark.parametrize("width", [400, 1400])
def test_in_a_browser(forty: Forty, tmp_path: Path, width: int) -> None:
    page = (forty.night.logs / "report-2012-12.html").read_text()
    # Our script measures the page; the page's policy must go, because it forbids scripts.
    script = """<script>
        const heights = (what) => [...document.querySelectorAll(what)].map(one => Math.round(one.getBoundingClientRect().height));
        document.title = [document.documentElement.scrollWidth, innerWidth, ...heights('svg'), ...heights('svg text')].join(' ');
    </script>"""
    measured = re.sub(r"<meta http-equiv[^>]*>", "", page).replace("</body>", f"{script}</body>")
    (tmp_path / "measured.html").write_text(measured)
    window_size = f"--window-size={width},900"
    command = [need("chromium"), *browser(tmp_path), window_size, "--dump-dom", (tmp_path / "measured.html").as_uri()]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE).stdout
    title = re.search(r"<title>([\d ]+)</title>", shown)
    assert title
    content, window, *heights = map(int, title[1].split())
    assert content <= window  # no scrolling sideways
    assert len(heights) > 3
    assert min(heights[:3]) > 120  # three charts
    assert min(heights[3:]) >= 10  # the text is large enough to read


def test_policy_keeps_every_request_in(forty: Forty, tmp_path: Path) -> None:
    """The page can send nothing, even if somebody's script got into it."""
    page = (forty.night.logs / "report-2012-12.html").read_text()
    (tmp_path / "page.html").write_text(page.replace("</body>", '<img src="http://127.0.0.1:9/x"></body>'))
    options = [*browser(tmp_path), "--enable-logging=stderr", "--dump-dom"]
    command = [need("chromium"), *options, (tmp_path / "page.html").as_uri()]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE).stderr
    assert "violates the following Content Security Policy" in said


def test_mail(forty: Forty) -> None:
    with mail_sink() as (mail, settings):
        done = forty.night.run("report", "--month", "2013-01", "--mail", **settings)
    assert done.returncode == 0, done.stderr
    (message,) = mail.received
    assert str(message["Subject"]).startswith("[visitas] Monthly report of 2013-01: nights that failed: 1; ")
    (page,) = message.iter_attachments()
    assert page.get_filename() == "report-2013-01.html"
    assert "<svg" in page.get_content()
    text = message.get_body(("plain",))
    assert text
    rows = [re.split(r"  +", row) for row in text.get_content().splitlines()]
    read = [f"{forty.figures(*month)['lines processed']:,}" for month in (JANUARY, DECEMBER)]
    assert ["lines processed", *read] in rows
    assert "example.com" not in text.get_content() + page.get_content()


def test_mail_without_a_server(forty: Forty) -> None:
    done = forty.night.run("report", "--month", "2013-01", "--mail")
    assert (done.returncode, "SMTP_HOST is not set" in done.stderr) == (2, True)


def test_last_month_is_the_default(forty: Forty) -> None:
    done = forty.night.run("report")
    (made,) = [path for path in forty.night.logs.glob("report-*.html") if path.stem[7:] not in MONTHS]
    assert done.stdout.splitlines()[-1] == str(made)
    assert "Monthly report of " + made.stem[7:] in done.stdout


@pytest.mark.parametrize("month", ["February", "2013-13", "0001-01", "9999-12", ""])
def test_a_month_that_is_none(forty: Forty, month: str) -> None:
    done = forty.night.run("report", "--month", month)
    assert done.returncode == 2
    assert f"{month!r} is no month; write it as 2013-02" in done.stderr


def test_a_month_that_has_not_begun(forty: Forty) -> None:
    done = forty.night.run("report", "--month", "2099-01")
    assert (done.returncode, done.stderr) == (0, "")
    assert "No night yet." in done.stdout


def test_the_session_zone_does_not_matter(forty: Forty) -> None:
    """In Santiago the midnight of 2019-09-08 does not exist; in Kiritimati it is another day."""
    shown = [
        forty.night.run("report", "--month", "2012-12", PGTZ=zone).stdout
        for zone in ("UTC", "America/Santiago", "Pacific/Kiritimati")
    ]
    assert len(set(shown)) == 1


def test_a_backup_that_is_gone(forty: Forty) -> None:
    path = forty.night.backups / min(name for day in forty.month(*DECEMBER) for name in day.zips)
    away = path.rename(path.with_suffix(".away"))
    done = forty.night.run("report", "--month", "2012-12", LOG_DIR=str(forty.night.folder / "other"))
    away.rename(path)
    assert "backups that are not in BACKUP_DIR: 1" in done.stdout


def test_history(forty: Forty) -> None:
    done = forty.night.run("history", "--nights", "50")
    rows = [[cell.strip() for cell in row.split("│")[1:-1]] for row in done.stdout.splitlines() if row.startswith("│")]
    expected = []
    for day in forty.days:
        if not day.nights:
            continue
        ended = next((row[1:] for row in forty.failures if row[0].date() == day.day), None) or ("done", None, day.seconds)
        status = 3 if {"refused", "quarantined"} & {*day.statuses} else 0
        expected.append(
            [
                f"{day.day} 00:02", "etl", ended[0],
                as_text(ended[1] if ended[0] != "done" else status), f"{ended[2]:,.1f}" if ended[2] is not None else "",
                str(day.statuses.total()), str(day.statuses.total() - day.statuses["loaded"]),
                str(day.read), str(day.loaded), str(day.read - day.loaded),
            ]
        )  # fmt: skip
    assert [row[:10] for row in rows if row[0]] == expected
    assert forty.days[0].day == FIRST
