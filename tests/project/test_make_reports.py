"""The generator of sample reports."""

import csv
import subprocess
import sys
from itertools import chain
from pathlib import Path

from kit.servers import ROOT
from parsing.columns import Visit, check_header, parse_line
from parsing.faults import Code

SCRIPT = ROOT / "sftp-server" / "make-reports.py"
SAMPLES = ROOT / "sftp-server" / "data-backup"


def make(folder: Path, *arguments: str) -> dict[str, bytes]:
    subprocess.run([sys.executable, str(SCRIPT), str(folder), *arguments], check=True)
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_the_samples_are_what_it_makes(tmp_path: Path) -> None:
    make(tmp_path)
    made = make(tmp_path, "--files", "1", "--first", "10", "--rows", "40", "--bad-rate", "0.3", "--day", "2013-02-14")
    assert made == {path.name: path.read_bytes() for path in SAMPLES.iterdir()}


def test_same_seed_same_reports(tmp_path: Path) -> None:
    made = [make(tmp_path / str(number), "--files", "2", "--rows", "50", "--seed", seed) for number, seed in enumerate("113")]
    assert made[0] == made[1] != made[2]


def test_samples_hold_every_trap() -> None:
    contents = {path.name: path.read_bytes() for path in SAMPLES.iterdir()}
    lines = [line for content in contents.values() for line in content.split(b"\r\n")]
    assert all(b"\n" not in line for line in lines)  # CRLF throughout
    headers = [content.split(b"\r\n")[0] for content in contents.values()]
    assert all(check_header(header) is None for header in headers)
    assert {header.split(b",")[1] for header in headers} == {b"jk", b"jyv", b"fgh"}
    parsed = [parse_line(line) for line in lines if line and line not in headers]
    visits = [visit for visit in parsed if isinstance(visit, Visit)]
    assert any(visit.fecha_open and visit.fecha_open < visit.fecha_envio for visit in visits)
    assert any(visit.navegadores and "" in visit.navegadores.split(",") for visit in visits)
    assert any(b'"' in line for line in lines)
    assert all(visit.jyv == "" for visit in visits)
    assert {visit.badmail for visit in visits} == {"", "HARD"}
    assert {visit.baja for visit in visits} == {"", "SI"}
    by_file = [
        [next(csv.reader([line.decode("latin-1")]), [""])[0] for line in content.split(b"\r\n")[1:-1]]
        for content in contents.values()
    ]
    assert any(len(set(emails)) < len(emails) for emails in by_file)  # repeats within a file
    assert len(set(chain.from_iterable(by_file))) < sum(len(set(emails)) for emails in by_file)  # and across files


def test_report_10_shows_every_fault_of_a_line() -> None:
    lines = (SAMPLES / "report_10.txt").read_bytes().split(b"\r\n")[1:-1]
    shown = {fault.code for line in lines if isinstance(parsed := parse_line(line), list) for fault in parsed}
    # These three are no faults of a line: two concern the file, one comes from Postgres.
    assert shown == set(Code) - {Code.LAYOUT_HEADER, Code.ERROR_RATE, Code.LOAD_REFUSED}
    assert 2 in {len(parsed) for parsed in map(parse_line, lines) if isinstance(parsed, list)}
