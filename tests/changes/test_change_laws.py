"""Whatever people do, in whatever order, the laws hold: a state machine that Hypothesis drives on a real Postgres."""

import csv
import hashlib
import io
import os
from argparse import Namespace
from collections.abc import Callable
from contextlib import suppress
from datetime import date
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from archive import archive
from backup.pruning import prune
from base.run import Run
from base.settings import Settings
from base.trouble import StageError, Status
from base.workdir import WorkDir
from commands import forget, rejects, reload, replay, restore_drill, undo, verify_backups
from kit.quick_nights import QuickNights
from kit.recount import assert_lawful
from kit.samples import HEADER
from load import load_reports
from parsing.columns import is_record
from parsing.lines import read_lines
from postgres import ledger
from postgres.database import Database
from transform import stage_report

EXAMPLES = int(os.environ.get("VISITAS_LAWS", "8"))  # more of them find more
RUN = Run("20130215T000200Z-1", "test")
PEOPLE = st.sampled_from(["ana", "Bea", "eva"])
DATES = st.sampled_from(["31/12/2012 23:59", "01/01/2013 00:00", "31/01/2013 10:00", "14/02/2013 12:00", "15/02/2013 08:00"])
OPTIONAL = st.one_of(st.just("-"), DATES)
GOOD = st.builds("{}@example.com,,,,{},{},0,0,{},0,0,-,-,-,-".format, PEOPLE, DATES, OPTIONAL, OPTIONAL)
FAULTY = st.one_of(
    st.builds("{}@example.com,,,,31/02/2013 10:00,-,0,0,-,0,0,-,-,-,-".format, PEOPLE), st.just("nobody"), GOOD.map('"{}'.format)
)
CONTENT = st.builds(
    lambda header, lines: header + "".join(f"{line}\n" for line in lines).encode(),
    st.sampled_from([HEADER, HEADER, HEADER, HEADER, b""]),
    st.lists(st.one_of(GOOD, GOOD, FAULTY, st.just("")), min_size=1, max_size=6),
)
NAMES = st.sampled_from([f"report_{number}.txt" for number in range(1, 4)])
AS_OF = st.sampled_from([date(2012, 12, 31), date(2013, 1, 31), date(2013, 2, 15)])
CHOICE = st.integers(0, 99)
# What is erased comes in no table; but a line that was corrected into another person's is that person's.
ERASED = """
select 'loaded', e.* from load_erased e join load_file f using (sha256)
join statistics s on s.file_id = f.id and s.line_number = e.line_number
where not exists (select from load_replay r where r.file_id = f.id and r.line_number = e.line_number)
union all
select 'rejected', e.* from load_erased e join load_file f using (sha256)
join errors r on r.file_id = f.id and r.line_number = e.line_number
where e.line_number > 1 or r.raw_line is not null
"""
COUNTED = """
select f.sha256, f.rows_read, array(select line_number from load_erased e where e.sha256 = f.sha256) as erased,
       array(select r.line_number from load_replay r join statistics s using (file_id, line_number)
             where r.file_id = f.id) as corrected
from load_file f
where status in ('loaded', 'quarantined')
"""


class People(RuleBasedStateMachine):
    """Nights, and what people do between them."""

    nights: QuickNights

    def __init__(self) -> None:
        super().__init__()
        self.nights.forget()
        self.contents: list[bytes] = []
        self.event, self.as_of, self.rate, self.mode = "envio", date(2013, 2, 15), 1.0, "keep"
        self.zones = count()
        self.night({})

    def settings(self) -> Settings:
        """Return the settings of now. Each call is in another time zone: two zips of one second have two names."""
        given = self.nights.settings(self.as_of, self.event, self.rate)
        zone = f"Etc/GMT{next(self.zones) % 26 - 12:+}"
        logs = self.nights.folder / "log"
        logs.mkdir(exist_ok=True)
        return given.model_copy(update={"on_reused_name": self.mode, "timezone": zone, "log_dir": logs, "backup_keep_days": None})

    def night(self, files: dict[str, bytes]) -> None:
        """Stage, load and archive these files, which are then gone from the server."""
        given = self.settings()
        work, database = WorkDir(given), Database(given)
        for name, content in files.items():
            report = work.report(name)
            report.path.write_bytes(content)
            stage_report(report)
        load_reports(work.reports(), RUN, given)
        archive(database, work, given)
        for report in work.reports():
            report.remove()
        database.run(ledger.set_source_deleted, database.run(ledger.open_entries))
        database.close()

    def do(self, main: Callable[[Namespace, Settings, Run], object], given: Settings | None = None, **asked: Any) -> bool:
        """Call a command; return whether it did what it was asked to do."""
        with suppress(StageError):
            main(Namespace(**{"id": None, "file": None, "yes": True} | asked), given or self.settings(), RUN)
            return True
        return False

    def one_of(self, statement: str, choice: int) -> Any:
        """Return the first column of one of the rows of a statement."""
        found = self.nights.sql(statement)
        return found[choice % len(found)][0] if found else None

    @initialize(files=st.dictionaries(NAMES, CONTENT, min_size=2))
    def the_first_night(self, files: dict[str, bytes]) -> None:
        self.a_night(files, {})

    @rule(files=st.dictionaries(NAMES, CONTENT, max_size=2), again=st.dictionaries(NAMES, CHOICE, max_size=1))
    def a_night(self, files: dict[str, bytes], again: dict[str, int]) -> None:
        """New files come, and some that came before, under their own or another name."""
        resent = {name: self.contents[choice % len(self.contents)] for name, choice in again.items() if self.contents}
        self.night(files | resent)
        self.contents += files.values()

    @rule(as_of=AS_OF, event=st.sampled_from(["envio", "open", "click"]))
    def another_basis(self, as_of: date, event: str) -> None:
        """The month, the year or the visit event changes."""
        self.as_of, self.event = as_of, event
        self.night({})

    @rule(rate=st.sampled_from([0.0, 0.4, 1.0]), mode=st.sampled_from(["keep", "replace"]))
    def other_settings(self, rate: float, mode: str) -> None:
        self.rate, self.mode = rate, mode

    @rule(choice=CHOICE)
    def undo(self, choice: int) -> None:
        file_id = self.one_of("select id from load_file where status = 'loaded' order by id", choice)
        assert file_id is None or self.do(undo.main, id=file_id)

    @rule(choice=CHOICE)
    def reload(self, choice: int) -> None:
        file_id = self.one_of("select id from load_file where status in ('undone', 'quarantined') order by id", choice)
        given = self.settings().model_copy(update={"max_error_rate": 1.0} if choice % 4 else {})
        self.do(reload.main, given, id=file_id or 1)

    @rule(choice=CHOICE, lines=st.lists(st.one_of(GOOD, GOOD, FAULTY, st.none()), min_size=1, max_size=4), again=st.booleans())
    def replay(self, choice: int, lines: list[str | None], again: bool) -> None:
        """Some rejected lines of a file are corrected, well or badly."""
        statement = "select id from load_file where status = 'loaded' and rows_rejected > 0 order by id"
        file_id = self.one_of(statement, choice)
        if file_id is None:
            return
        given = self.settings()
        assert self.do(rejects.main, given, id=file_id)
        (path,) = given.log_dir.glob("*.rejects.csv")
        with path.open(newline="") as file:
            header, *rows = csv.reader(file)
        corrected = [[*row[:-1], row[-1] if line is None else line] for row, line in zip(rows, lines, strict=False)]
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([header, *corrected])
        self.do(replay.main, given, rejects=str(path))
        assert not (again and self.do(replay.main, given, rejects=str(path)))
        path.unlink()

    @rule(who=PEOPLE)
    def forget(self, who: str) -> None:
        email = f"{who}@example.com"
        pruned = "select from load_zip where pruned_at is not null"
        assert (
            self.do(forget.main, email=email)
            or self.nights.sql(pruned)
            or not self.nights.sql("select from statistics where email = %s", email.lower())
        )
        assert not self.nights.sql("select from statistics where email = %s", email.lower())
        assert not self.nights.sql("select from errors where raw_line ilike %s", f"%{email}%")

    @rule(choice=CHOICE)
    def prune(self, choice: int) -> None:
        """A zip gets old, now and then: nothing can be reloaded from it."""
        if choice % 4:
            return
        name = self.one_of("select name from load_zip order by name", choice)
        self.nights.sql("update load_zip set proved_at = now() - interval '100 days' where name = %s", name)
        given = self.settings().model_copy(update={"backup_keep_days": 90})
        database = Database(given)
        prune(database, given)
        database.close()

    @rule()
    def drill(self) -> None:
        assert restore_drill.main(self.settings()) is Status.DONE

    @invariant()
    def laws(self) -> None:
        """Visitors and sums equal a recount, every line is accounted for, no erased line is back, and the zips are as logged."""
        assert_lawful(self.nights)
        assert self.nights.sql(ERASED) == []
        records = {hashlib.sha256(content).hexdigest(): numbers_of(content) for content in self.contents}
        for sha256, read, erased, corrected in self.nights.sql(COUNTED):
            assert read == len(records[sha256] - (set(erased) - set(corrected)))
        assert verify_backups.main(self.settings()) is Status.DONE

    def teardown(self) -> None:
        self.drill()


def numbers_of(content: bytes) -> set[int]:
    """Return the line numbers of a report's records."""
    return {number for number, line in enumerate(read_lines(io.BytesIO(content)), 1) if number > 1 and is_record(line)}


@pytest.mark.long
def test_whatever_people_do(tmp_path: Path, database: str) -> None:
    People.nights = QuickNights(tmp_path, database)
    hard = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
    given = settings(max_examples=EXAMPLES, stateful_step_count=20, deadline=None, suppress_health_check=hard)
    run_state_machine_as_test(People, settings=given)
