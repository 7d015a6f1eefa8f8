"""Write sample reports. Layout, traps and proportions are those of the platform's reports; every person is invented."""

import argparse
import csv
import io
import itertools
import random
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

HEADER = (
    "email,{},Badmail,Baja,Fecha envio,Fecha open,Opens,Opens virales,"
    "Fecha click,Clicks,Clicks virales,Links,IPs,Navegadores,Plataformas"
)
SECOND_HEADERS = ("jk", "jyv", "fgh")
# Domains reserved for examples (RFC 2606): no address belongs to a real person.
DOMAINS = ("mail.example.com",) * 8 + ("correo.example.net",) * 2 + ("example.org", "empresa.example.com")
BROWSERS = ("", "Chrome Generic", "IE 9.0", "IE 8.0", "Android Browser 4.0", "Mobile Safari 5.0")
PLATFORMS = ("unknown", "Win7", "WinXP", "Android", "MacOSX", "iOS")
OPEN_SHARE, CLICK_SHARE, HARD_SHARE, BAJA_SHARE, TWICE_SHARE = 0.19, 0.11, 0.12, 0.008, 0.002
NO_ACTIVITY = "-,0,0,-,0,0,-,-,-,-"

Spoil = Callable[[str], bytes]


def spoil_column(column: int, value: str) -> Spoil:
    """Return a function that spoils a line: it puts ``value`` into a column, counted from 1."""

    def spoil(line: str) -> bytes:
        fields = next(csv.reader([line]))
        fields[column - 1] = value
        return csv_line(fields).encode()

    return spoil


# Bad lines take these in turn: eight bad lines show every fault that a line can have.
SPOILS: tuple[Spoil, ...] = (
    spoil_column(1, "nobody.example.com"),
    spoil_column(5, "-"),
    spoil_column(6, "31/02/2013 10:00"),
    spoil_column(7, "1_000"),
    lambda line: line.rpartition(",")[0].encode(),
    lambda line: line.replace(",", ',"', 1).encode(),
    lambda line: line.replace(",", ",\xf1", 1).encode("latin-1"),
    lambda line: spoil_column(9, "13/13/2013 00:00")(spoil_column(1, "two faults@")(line).decode()),
)


def main() -> None:
    """Write the reports that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where the reports go")
    parser.add_argument("--files", type=int, default=3, help="number of reports (%(default)s)")
    parser.add_argument("--first", type=int, default=7, help="consecutive number of the first report (%(default)s)")
    parser.add_argument("--rows", type=int, default=500, help="lines in each report (%(default)s)")
    parser.add_argument("--seed", type=int, default=2013, help="same seed, same reports (%(default)s)")
    parser.add_argument("--bad-rate", type=float, default=0.0, help="share of faulty lines, 0 to 1 (%(default)s)")
    parser.add_argument("--addresses", type=int, help="number of people (default: one for each line)")
    parser.add_argument(
        "--day", type=datetime.fromisoformat, default=datetime(2013, 2, 8), help="day of the first send (2013-02-08)"
    )
    arguments = parser.parse_args()
    people = arguments.addresses or arguments.files * arguments.rows
    spoils = itertools.cycle(SPOILS)
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for index in range(arguments.files):
        random_source = random.Random(f"{arguments.seed} {arguments.first + index}")
        sent = arguments.day + timedelta(days=index, hours=18, minutes=30)
        lines = report_lines(random_source, range(index * arguments.rows, (index + 1) * arguments.rows), people, sent)
        with (arguments.folder / f"report_{arguments.first + index}.txt").open("wb") as file:
            file.write(HEADER.format(SECOND_HEADERS[index % 3]).encode() + b"\r\n")
            for line in lines:
                bad = random_source.random() < arguments.bad_rate
                file.write((next(spoils)(line) if bad else line.encode()) + b"\r\n")


def report_lines(source: random.Random, positions: range, people: int, sent: datetime) -> Iterator[str]:
    """Yield the good lines of one send: one person after the other, now and then a person twice."""
    sent_text = text(sent)
    for position in positions:
        number = (source.choice(positions) if source.random() < TWICE_SHARE else position) % people
        badmail = "HARD" if source.random() < HARD_SHARE else ""
        baja = "SI" if source.random() < BAJA_SHARE else ""
        head = f"{mailbox(number)},,{badmail},{baja},{sent_text},"
        yield head + (activity(source, sent) if source.random() < OPEN_SHARE else NO_ACTIVITY)


def activity(source: random.Random, sent: datetime) -> str:
    """Return the columns of a mail that was opened. Many are opened before they are sent, as in real reports."""
    opened = sent + timedelta(minutes=source.choice((-1, -1, 1)) * source.randrange(1, 420) + source.choice((0, 0, 1440)))
    opens = source.choice((1, 1, 1, 1, 2, 3))
    clicks = source.random() < CLICK_SHARE
    lists = ([source.choice(names) for _ in range(opens)] for names in (BROWSERS, PLATFORMS))
    fields = [text(opened), str(opens), str(source.randrange(2))]
    fields += (
        [text(opened + timedelta(minutes=3)), "1", "0", source.choice(("0", "3", "0,3", "16"))]
        if clicks
        else ["-", "0", "0", "-"]
    )
    fields.append(",".join(f"192.0.2.{source.randrange(1, 255)}" for _ in range(opens)))
    return csv_line([*fields, *map(",".join, lists)])


def mailbox(number: int) -> str:
    """Return the address of person ``number``, always the same. Addresses are not in the order of numbers."""
    scattered = number * 2654435761 % 2**32
    return f"{chr(97 + scattered % 26)}{scattered:x}_{number % 100}@{DOMAINS[scattered % len(DOMAINS)]}"


def text(moment: datetime) -> str:
    """Return the date as reports write it: ``08/02/2013 18:30``."""
    return moment.strftime("%d/%m/%Y %H:%M")


def csv_line(fields: list[str]) -> str:
    """Return the fields as one CSV line without a line end."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(fields)
    return line.getvalue()


if __name__ == "__main__":
    main()
