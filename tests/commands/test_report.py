"""The monthly report: every figure in every form, against figures counted from the delivered files."""

import csv
import html
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path

import pytest

from kit.forty_nights import BAD, NIGHTS, Forty
from kit.messages import english_in
from kit.night import Night
from kit.receivers import mail_sink
from kit.samples import line, report
from kit.servers import PATIENCE, OpenSSH, Postgres, need

pytestmark = pytest.mark.xdist_group("forty")  # the tests share one history

DECEMBER, JANUARY = (2012, 12), (2013, 1)
MONTHS = {"2012-12": (DECEMBER, (2012, 11)), "2013-01": (JANUARY, DECEMBER)}
NAMES = {DECEMBER: "December 2012", JANUARY: "January 2013", (2012, 11): "November 2012"}


@pytest.fixture(scope="module")
def forty(postgres: Postgres, openssh: OpenSSH, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forty]:
    """The forty nights, what people changed afterwards, and the monthly reports of their two months."""
    night = Night(tmp_path_factory.mktemp("forty"), openssh.settings() | {"DATABASE_URL": postgres.create("forty")})
    made = Forty(night)
    history = night.run("history", "--nights", "50").stdout
    rows = [[cell.strip() for cell in row.split("│")[1:-1]] for row in history.splitlines() if row.startswith("│")]
    assert [row[:10] for row in rows if row[0]] == history_of(made)
    made.change()
    for month in MONTHS:
        done = night.run("report", "--month", month, "--csv")
        assert (done.returncode, done.stderr) == (0, "")
        (night.folder / f"{month}.txt").write_text(done.stdout)
    yield made
    postgres.drop("forty")


def history_of(forty: Forty) -> list[list[str]]:
    """Return what the command history must show of the forty nights, before people change anything."""
    expected = []
    for day in filter(lambda day: day.nights, forty.days):
        status = 3 if {"refused", "quarantined"} & {*day.statuses} else 0
        ended = next((row[1:] for row in forty.failures if row[0].date() == day.day), None) or ("done", status, day.seconds)
        read, loaded = sum(came.lines for came in day.came), day.loaded
        counts = (len(day.came), len(day.came) - day.statuses["loaded"], read, loaded, read - loaded)
        seconds = f"{ended[2]:,.1f}" if ended[2] is not None else ""
        expected.append([f"{day.day} 00:02", "etl", ended[0], as_text(ended[1]), seconds, *as_texts(*counts)])
    return expected


def sheet(forty: Forty, month: str, name: str) -> list[list[str]]:
    """Return the rows of a CSV file, without the header."""
    with (forty.night.logs / f"report-{month}-{name}.csv").open(newline="") as file:
        return list(csv.reader(file))[1:]


def page_of(forty: Forty, month: str) -> str:
    return (forty.night.logs / f"report-{month}.html").read_text()


def as_text(value: object) -> str:
    return "" if value is None else str(round(value, 4) if isinstance(value, float) else value)


def as_texts(*values: object) -> list[str]:
    return [as_text(value) for value in values]


def as_percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}".replace("%", " %")


def day_of(day: date) -> str:
    return f"{day.day} {day:%b}"


def test_the_history_is_worth_reporting(forty: Forty) -> None:
    """Everything that can happen happens in the forty nights, and no report is lost."""
    statuses = sum((day.statuses for day in forty.days), Counter[str]())
    assert len(forty.days) == NIGHTS
    assert set(statuses) == {"loaded", "duplicate", "refused", "quarantined", "undone"}
    assert min(statuses[fate] for fate in ("duplicate", "refused", "quarantined")) > 2
    assert {status for _, status, *_ in forty.failures} == {"failed", "crashed"}
    assert sum(len(day.gaps) for day in forty.days) > 4
    assert forty.zipped() == statuses.total()
    for contradiction in ("badmail = 'HARD' and fecha_open is not null", "fecha_open is null and fecha_click is not null"):
        assert forty.night.sql(f"select count(*) from statistics where {contradiction}") > [(9,)]


@pytest.mark.parametrize("month", MONTHS)
def test_headlines(forty: Forty, month: str) -> None:
    found = {name: (now, before) for name, now, before, _ in sheet(forty, month, "figures")}
    this, before = (forty.headlines(*each) for each in MONTHS[month])
    assert found == {name: (as_text(this[name]), as_text(before[name])) for name in this}
    assert 4 <= len(found) <= 6


@pytest.mark.parametrize("month", MONTHS)
def test_the_headline_says_it_in_words(forty: Forty, month: str) -> None:
    this, _ = MONTHS[month]
    sent, *_, delivered, opened, _, _ = forty.mails_of(*forty.days_of_sending(*this))
    nights = forty.month(*this)
    ran, failed = sum(day.nights for day in nights), sum(day.failed for day in nights)
    said = (
        f"In {NAMES[this]}, {sent} mails were sent, {as_percent(delivered)} of them were delivered, and {as_percent(opened)} of"
        f" the delivered were opened; {ran - failed} of {ran} nights ended well."
    )
    assert f'<p class="lead">{said}</p>' in page_of(forty, month)
    assert (forty.night.folder / f"{month}.txt").read_text().startswith(said)


@pytest.mark.parametrize("month", MONTHS)
def test_mailings(forty: Forty, month: str) -> None:
    this, before = MONTHS[month]
    days = forty.days_of_sending(*this)
    assert sheet(forty, month, "campaigns") == [[str(day), *as_texts(*forty.mails_of(day))] for day in days]
    year = sheet(forty, month, "year")
    assert len(year) == 12
    for row, each in zip(year, (this, before), strict=False):
        assert row == [f"{each[0]}-{each[1]:02}", *as_texts(*forty.mails_of(*forty.days_of_sending(*each)))]
    assert {cell for row in year[2:] for cell in row[1:]} == {"0", ""}


@pytest.mark.parametrize("month", MONTHS)
def test_loading(forty: Forty, month: str) -> None:
    this, before = (forty.loading(*each) for each in MONTHS[month])
    assert sheet(forty, month, "loading") == [[name, *as_texts(this[name], before[name])] for name in this]


@pytest.mark.parametrize("month", MONTHS)
def test_rejects(forty: Forty, month: str) -> None:
    codes, before = (sum((day.codes for day in forty.month(*each)), Counter[str]()) for each in MONTHS[month])
    rows = sheet(forty, month, "rejects")
    assert {(code, int(now), int(earlier)) for code, now, earlier, *_ in rows} == {
        (code, codes[code], before[code]) for code in codes | before
    }
    for code, _, _, _, example, where in filter(lambda row: row[0] in BAD, rows):
        name, number = where.split(", line ")
        lines = [came.content.decode().splitlines()[int(number) - 1] for came in forty.came if came.name == name]
        email, sent, opens = BAD[code]
        said = {"email-invalid": f'email: "{email}"', "number-invalid": f'opens: "{opens}"'}
        assert any((email, sent, opens) == tuple(text.split(",")[i] for i in (0, 4, 6)) for text in lines), where
        assert example == said.get(code, f'fecha_envio: "{sent}"')


@pytest.mark.parametrize("month", MONTHS)
def test_reports_that_need_a_look(forty: Forty, month: str) -> None:
    expected = Counter(
        (str(day.day), came.name, str(came.lines), came.status, came.why, came.since)
        for day in forty.month(*MONTHS[month][0])
        for came in day.notable
    )
    found = Counter(
        (day, name, lines, status.partition(",")[0], why.partition(":")[0], re.sub(r" on \d+ \w+", "", since))
        for day, name, lines, status, why, since in sheet(forty, month, "reports")
    )
    assert found == expected


@pytest.mark.parametrize("month", MONTHS)
def test_nights_one_by_one(forty: Forty, month: str) -> None:
    this, _ = MONTHS[month]
    ended = {began: (status, exit_status) for began, status, exit_status, _ in forty.failures}
    expected = [[str(day), "no night in the load log", "", "", "", ""] for day in forty.silent(*this)]
    for day in forty.month(*this):
        if day.nights:
            began = forty.began(day.day)
            status, exit_status = ended.get(began, ("done", 3 if {"refused", "quarantined"} & {*day.statuses} else 0))
            how = f"{status}, status {exit_status}" if exit_status else status
            counts = as_texts(day.seconds, len(day.came), day.read, day.read - day.loaded)
            expected.append([f"{began:%Y-%m-%d %H:%M}", how, *counts])
    assert sheet(forty, month, "nights") == sorted(expected)


@pytest.mark.parametrize("month", MONTHS)
def test_gaps_and_backups(forty: Forty, month: str) -> None:
    days = forty.month(*MONTHS[month][0])
    came = {name for (name,) in forty.night.sql("select name from load_file")}
    gaps = sorted(((name, str(day.day)) for day in days for name in day.gaps), key=lambda gap: int(gap[0][7:-4]))
    assert sheet(forty, month, "gaps") == [[name, day, "yes" if name in came else "no"] for name, day in gaps]
    assert {came for *_, came in sheet(forty, "2012-12", "gaps")} == {"yes", "no"}
    zips = sorted((str(day.day), name, len(day.came)) for day in days for name in day.zips)
    sizes = {path.name: path.stat().st_size for path in forty.night.backups.iterdir()}
    assert sheet(forty, month, "backups") == [[day, name, str(files), str(sizes[name]), ""] for day, name, files in zips]


def test_the_views_say_the_same(forty: Forty) -> None:
    """In the time zone of the reports, whoever asks."""
    rows = """set timezone = 'America/Mexico_City';
        select sent, delivered, opened, clicked, unsubscribed, delivery_rate, open_rate, click_rate, unsubscribe_rate,
               files, files_loaded, files_duplicate, files_refused, files_quarantined, files_undone, rows_read, rows_loaded,
               rows_rejected, reject_rate, visitors_new, visitors_updated, nights_failed
        from monthly_summary where sent > 0 order by month"""
    found = forty.night.sql(rows)
    for row, (month, (this, _)) in zip(found, MONTHS.items(), strict=True):
        (_, *of_year), *_ = sheet(forty, month, "year")
        counts = [now for _, now, _ in sheet(forty, month, "loading")]
        *_, (_, failed, _, _) = sheet(forty, month, "figures")
        assert [as_text(value if value is None else float(value)) for value in row] == [
            as_text(float(value)) for value in (*of_year, *counts, failed)
        ], this
    campaigns = """select send_date::text, sum(sent), sum(delivered), sum(opened), sum(clicked), sum(unsubscribed)
        from campaign_summary group by 1 order by 1"""
    shown = [row[:6] for month in MONTHS for row in sheet(forty, month, "campaigns")]
    assert [as_texts(*row) for row in forty.night.sql(campaigns)] == shown
    sums = "sum(sent), sum(delivered), sum(opened), sum(clicked), sum(unsubscribed)"
    assert forty.night.sql(f"select {sums} from visitor_activity") == forty.night.sql(f"select {sums} from monthly_summary")
    codes = sum((day.codes for day in forty.days), Counter[str]())
    assert dict(forty.night.sql("select code, lines from rejects_by_code")) == codes
    both, opened = (sum(count for (_, what), count in forty.mails.items() if what == name) for name in ("both", "opened"))
    assert forty.night.sql("select sum(opened_and_clicked), sum(opened) from load_campaign") == [(both, opened)]


@pytest.mark.parametrize("month", MONTHS)
def test_page_and_terminal_say_the_same(forty: Forty, month: str) -> None:
    page = page_of(forty, month)
    shown = (forty.night.folder / f"{month}.txt").read_text()
    assert "\x1b" not in shown
    cells = [html.unescape(cell) for cell in re.findall(r"<td[^>]*>([^<]*)</td>", page)]
    lines = [" ".join(text.replace("│", " ").split()) for text in shown.splitlines()]
    this, _ = MONTHS[month]
    for name, value in (forty.loading(*this) | forty.headlines(*this)).items():
        said = as_percent(value) if ", of the " in name else f"{value:,}"
        assert f'<td>{name}</td><td class="figure">{said}</td>' in page or f"{name}<b>{said}</b>" in page
        assert any(text.startswith(f"{name} {said}") for text in lines), name
    for name in ("campaigns", "rejects", "nights", "reports", "gaps", "backups"):
        for first, *_ in sheet(forty, month, name):
            said = first
            if re.match(r"\d{4}-", first):
                when = datetime.fromisoformat(first)
                said = day_of(when) + (f" {when:%H:%M}" if " " in first else "")
            assert said in cells
            assert any(text.startswith(said) for text in lines), said


def test_a_warning_leads_to_its_rows(forty: Forty) -> None:
    page = page_of(forty, "2012-12")
    needs = re.findall(r'<p class="need">(.*?): (<a .*?)</p>', page)
    open_gaps = [name for day in forty.month(*DECEMBER) for name in day.gaps if "no" in gap_row(forty, name)]
    waiting = [c for day in forty.month(*DECEMBER) for c in day.came if c.fate in ("refused", "quarantined") and not c.since]
    assert [text for text, _ in needs] == [
        f"Reports that are not loaded ({len(waiting)})",
        "Nights that failed, or did not run (3)",
        f"Reports that never came ({len(open_gaps)})",
    ]
    for _, links in needs:
        for anchor, label in re.findall(r'<a href="#([^"]+)">([^<]+)</a>', links):
            (row,) = re.findall(rf'<tr id="{anchor}" class="needs">.*?</tr>', page)
            assert f">{label}</td>" in row or label.endswith(" more")
    anchors = re.findall(r'<(?:h2|div|tr)[^>]* id="([^"]+)"', page)
    assert len(set(anchors)) == len(anchors)


def gap_row(forty: Forty, name: str) -> list[str]:
    return next(row for row in sheet(forty, "2012-12", "gaps") if row[0] == name)


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
    page = page_of(forty, "2012-12")
    (tmp_path / "page.html").write_text(page)
    leaky = re.sub(r"<meta http-equiv[^>]*>", "", page).replace("</body>", '<img src="http://127.0.0.1:9/x"></body>')
    (tmp_path / "leaky.html").write_text(leaky)
    assert hosts(chromium, tmp_path / "page.html") == set()
    assert hosts(chromium, tmp_path / "leaky.html") == {"127.0.0.1:9"}  # a request would be seen
    assert not re.search(r"(src|href)=|url\((?!#)|@import|<script|<link", page.replace('href="#', ""))


@pytest.mark.parametrize(("width", "scheme", "ground"), [(400, 1, "246,248,250"), (1400, 0, "13,17,23")], ids=["light", "dark"])
def test_in_a_browser(forty: Forty, tmp_path: Path, width: int, scheme: int, ground: str) -> None:
    page = page_of(forty, "2012-12")
    # Our script measures the page; the page's policy must go, because it forbids scripts.
    script = """<script>
        const heights = (what) => [...document.querySelectorAll(what)].map(one => Math.round(one.getBoundingClientRect().height));
        const ground = getComputedStyle(document.body).backgroundColor.replace(/[^0-9,]/g, '');
        const widths = [document.documentElement.scrollWidth, innerWidth];
        document.title = [ground, ...widths, ...heights('svg'), ...heights('svg text')].join(' ');
    </script>"""
    measured = re.sub(r"<meta http-equiv[^>]*>", "", page).replace("</body>", f"{script}</body>")
    (tmp_path / "measured.html").write_text(measured)
    command = [
        need("chromium"),
        *browser(tmp_path),
        f"--window-size={width},900",
        f"--blink-settings=preferredColorScheme={scheme}",
    ]
    command += ["--dump-dom", (tmp_path / "measured.html").as_uri()]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE).stdout
    title = re.search(r"<title>([\d, ]+)</title>", shown)
    assert title
    found, *numbers = title[1].split()
    content, window, *heights = map(int, numbers)
    assert found == ground
    assert content <= window  # no scrolling sideways
    assert len(heights) > 3
    assert min(heights[:3]) > 120  # three charts
    assert min(heights[3:]) >= 10  # the text is large enough to read


def test_printed(forty: Forty, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(page_of(forty, "2012-12"))
    command = [need("chromium"), *browser(tmp_path), f"--print-to-pdf={tmp_path}/page.pdf", (tmp_path / "page.html").as_uri()]
    subprocess.run(command, capture_output=True, check=True, timeout=PATIENCE)
    pages = re.findall(rb"/MediaBox \[0 0 (\d+)[\d.]* (\d+)[\d.]*\]", (tmp_path / "page.pdf").read_bytes())
    assert {*pages} == {(b"594", b"841")}  # A4
    assert len(pages) < 6


def test_policy_keeps_every_request_in(forty: Forty, tmp_path: Path) -> None:
    """The page can send nothing, even if somebody's script got into it."""
    page = page_of(forty, "2012-12")
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
    silent = len(forty.silent(*JANUARY))
    assert f"[visitas] January 2013: Reports that are not loaded (2); Nights that failed, or did not run ({silent + 1})" in str(
        message["Subject"]
    )
    (page,) = message.iter_attachments()
    assert page.get_filename() == "report-2013-01.html"
    assert "<svg" in page.get_content()
    text = message.get_body(("plain",))
    assert text
    rows = [re.split(r"  +", row) for row in text.get_content().splitlines()]
    sent = [f"{forty.headlines(*month)['mails sent']:,}" for month in (JANUARY, DECEMBER)]
    assert ["mails sent", *sent] in [row[:3] for row in rows]
    assert "example.com" not in text.get_content() + page.get_content()


def test_in_spanish(forty: Forty) -> None:
    """The page and its mail are Spanish; the terminal and the CSV files stay English."""
    folder = forty.night.folder / "spanish"
    spanish = {"NOTICE_LANGUAGE": "es", "LOG_DIR": str(folder)}
    with mail_sink() as (mail, settings):
        done = forty.night.run("report", "--month", "2012-12", "--csv", "--mail", **settings, **spanish)
    assert done.returncode == 0, done.stderr
    english = (forty.night.folder / "2012-12.txt").read_text()
    assert done.stdout.replace(str(folder), str(forty.night.logs)) == english
    for path in folder.glob("*.csv"):
        assert path.read_text() == (forty.night.logs / path.name).read_text()
    page = (folder / "report-2012-12.html").read_text()
    assert '<html lang="es">' in page
    assert "<h1>Visitas en diciembre de 2012</h1>" in page
    assert '<td class="day">8 dic' in page
    assert "Hint" not in page
    (message,) = mail.received
    text = message.get_body(("plain",))
    assert text
    assert str(message["Subject"]).startswith("[visitas] diciembre de 2012: Reportes sin cargar (")
    labels = " ".join(re.findall(r'aria-label="([^"]+)"', page))
    assert [english_in(said) for said in (html.unescape(page), labels, text.get_content(), str(message["Subject"]))] == [
        set()
    ] * 4


def test_mail_without_a_server(forty: Forty) -> None:
    done = forty.night.run("report", "--month", "2013-01", "--mail")
    assert (done.returncode, "SMTP_HOST is not set" in done.stderr) == (2, True)


def test_last_month_is_the_default(forty: Forty) -> None:
    done = forty.night.run("report")
    (made,) = [path for path in forty.night.logs.glob("report-*.html") if path.stem[7:] not in MONTHS]
    assert done.stdout.splitlines()[-1] == str(made)
    assert re.match(r"(In|No|Nothing) .* [A-Z][a-z]+ 20\d\d", done.stdout)


@pytest.mark.parametrize("month", ["February", "2013-13", "0001-01", "9999-12", ""])
def test_a_month_that_is_none(forty: Forty, month: str) -> None:
    done = forty.night.run("report", "--month", month)
    assert done.returncode == 2
    assert f"{month!r} is no month; write it as 2013-02" in done.stderr


def test_a_month_that_has_not_begun(forty: Forty) -> None:
    done = forty.night.run("report", "--month", "2099-01")
    assert (done.returncode, done.stderr) == (0, "")
    page = page_of(forty, "2099-01")
    for text in (done.stdout, page):
        assert "Nothing is known of January 2099: no mail, no report, no night." in text
        assert "The newest mails are of January 2013: make report MONTH=2013-01" in text
        assert "needs a person" not in text
    assert not re.search("<svg|<table", page)


def test_mails_of_a_month_without_nights(night: Night) -> None:
    night.deliver("report_1.txt", report(line(envio="08/02/2013 18:30", opened="08/02/2013 19:00"), line("bea@example.com")))
    assert night.run().returncode == 0
    said = night.run("report", "--month", "2013-02").stdout
    assert said.startswith(
        "In February 2013, 2 mails were sent, 100.0 % of them were delivered, and 50.0 % of the delivered were opened;"
        " no night ran."
    )
    assert "The newest night is of " in said
    assert "Nothing needs a person" not in said


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
    assert f"Backups that are not in BACKUP_DIR (1): {path.stem}" in done.stdout
