"""A night whose backups and counters are sound, as the commands for that say."""

from kit.night import Night
from kit.recount import assert_lawful


def assert_sound(night: Night) -> None:
    """Assert that the laws of the counters hold, and that verify-backups and restore-drill find no differences."""
    assert_lawful(night)
    verified, drilled = night.run("verify-backups"), night.run("restore-drill")
    assert (verified.returncode, verified.stderr) == (0, ""), verified.stdout + verified.stderr
    assert "no flaws" in verified.stdout
    assert drilled.returncode == 0, drilled.stdout + drilled.stderr
    assert "no differences" in drilled.stdout
