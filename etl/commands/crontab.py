"""The crontab of the user who runs the night."""

import re
import subprocess

from base.settings import Settings
from base.trouble import StageError, Status


def cron(settings: Settings) -> str:
    """Verify that the cron line is installed."""
    hint = "run make schedule."
    try:
        lines = subprocess.run(["crontab", "-l"], capture_output=True, text=True, check=False).stdout.splitlines()
    except FileNotFoundError as error:
        raise StageError(Status.SETTINGS, "cron is not installed.", "install it, then " + hint) from error
    for line in lines:
        if "etl/etl.sh" in line and re.match(r"\s*[\d*@]", line):  # neither a comment nor a variable
            return line
    raise StageError(Status.SETTINGS, "your crontab has no line that runs etl/etl.sh.", hint)
