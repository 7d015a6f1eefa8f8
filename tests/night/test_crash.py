"""A sample of the crash points: one of each kind in each stage, and a few kills by the clock. `make crash-test` runs all."""

import random
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from kit.night import Night
from kit.servers import OpenSSH, Postgres, need
from measure.crash import (
    CALLS,
    NIGHT_SECONDS,
    STAGES,
    Ground,
    KeptGround,
    Outcome,
    Point,
    crash_after,
    crash_at,
    difference,
    points_of,
)
from measure.crash_changes import COMMANDS, ChangeGround

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory, postgres: Postgres, openssh: OpenSSH) -> Ground:
    need("strace")
    return Ground(tmp_path_factory.mktemp("crash"), postgres, openssh)


@pytest.fixture(scope="module")
def undisturbed(ground: Ground) -> Outcome:
    return ground.undisturbed()


@pytest.fixture(scope="module")
def points(ground: Ground) -> list[Point]:
    return ground.points()


def survives(ground: Ground, undisturbed: Outcome, name: str, crash: Callable[[Night], bool]) -> None:
    found = ground.after_crash(name, crash)
    assert found is not None, "the kill hit nothing"
    assert found == undisturbed, difference(undisturbed, found)


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("call", CALLS)
def test_killed_at_a_call(ground: Ground, undisturbed: Outcome, points: list[Point], stage: str, call: str) -> None:
    there = [point for point in points if (point.stage, point.call) == (stage, call)]
    if there:
        point = random.Random(f"{stage} {call}").choice(there)
        survives(ground, undisturbed, f"{stage}_{call}", partial(crash_at, point=point))
    else:  # the stage never makes this call
        assert (stage, call) in {
            ("transform", "fsync"), ("transform", "unlink"), ("load", "rename"), ("load", "fsync"), ("load", "unlink"),
            ("extract", "unlink"), *((stage, "fdatasync") for stage in STAGES),
        }  # fmt: skip


def test_killed_while_a_zip_is_encrypted_and_another_pruned(
    tmp_path_factory: pytest.TempPathFactory, postgres: Postgres, openssh: OpenSSH
) -> None:
    """Killed where the new zip gets its name, where the old zip goes, which is the last unlink, and at some of the rest."""
    need("strace")
    ground = KeptGround(tmp_path_factory.mktemp("kept"), postgres, openssh)
    undisturbed, points = ground.undisturbed(), ground.points()
    assert undisturbed.tables[-2] == [(False, 4), (True, 1)]
    chosen = [point for point in points if point.call == "rename"] + [point for point in points if point.call == "unlink"][-1:]
    chosen += random.Random(2013).sample([point for point in points if point not in chosen], 5)
    for point in chosen:
        survives(ground, undisturbed, f"kept_{point.call}_{point.number}", partial(crash_at, point=point))


@pytest.mark.parametrize("part", [0.15, 0.3, 0.5])
def test_killed_whole_at_a_time(ground: Ground, undisturbed: Outcome, part: float) -> None:
    survives(ground, undisturbed, f"whole_{part * 100:.0f}", partial(crash_after, seconds=part * NIGHT_SECONDS))


def test_the_comparison_sees_what_it_should(undisturbed: Outcome) -> None:
    assert undisturbed.zipped == 4
    assert undisturbed.work == undisturbed.source == []
    assert all(undisturbed.tables[:-1])
    assert undisturbed.tables[-1] == []  # no run is left running


def test_opens_for_reading_are_no_crash_points() -> None:
    trace = '7 openat(AT_FDCWD, "a", O_RDONLY) = 3\n7 openat(AT_FDCWD, "b", O_WRONLY|O_CREAT) = 4\n8 rename("b", "c") = 0\n'
    assert points_of("load", trace) == [Point("load", "openat", 2), Point("load", "rename", 1)]


@pytest.fixture(scope="module")
def changes(tmp_path_factory: pytest.TempPathFactory, postgres: Postgres, openssh: OpenSSH) -> Iterator[ChangeGround]:
    need("strace")
    ground = ChangeGround(tmp_path_factory.mktemp("changes"), postgres, openssh)
    yield ground
    postgres.drop("changes_base")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_change_is_killed(changes: ChangeGround, command: str) -> None:
    """One point of each kind; the last answer to Postgres, which commits, is one of them."""
    states = changes.states(command)
    assert states[0] != states[1]
    points = changes.points(command)
    sends = [point for point in points if point.call == "sendto"]
    chosen = {call: [point for point in points if point.call == call] for call in CALLS}
    chance = random.Random(command)
    for point in {*sends[-4:], *(chance.choice(found) for found in chosen.values() if found)}:
        assert changes.is_clean(f"{command}_{point.call}_{point.number}", point, states), point
