"""Send a test message through every channel that is set."""

import socket
from functools import partial

from base.settings import Settings
from base.trouble import Status
from commands.console import add_row, console, show, table
from notices import channels
from notices.channels import Channel, Notice
from notices.language import read_language
from runtime.script import run_command

SUBJECT = "[visitas] TEST: this is a test message"
TEXT = "This is a test message of the nightly visits ETL on {host}. You need not do anything."


def main(settings: Settings) -> Status:
    """Use every channel once; return SETTINGS if a channel fails, or if none is set."""
    screen = console()
    words = read_language(settings.notice_language)
    text, subject = words(TEXT, host=socket.gethostname()), words(SUBJECT)
    html = f'<!doctype html>\n<html lang="{words.code}"><body><p>{text}</p></body></html>\n'
    notice = Notice(subject, f"{text}\n", html, f"*{words('TEST')}*: {text}")
    used: dict[str, Channel] = {}
    if settings.smtp_host:
        used["e-mail"] = partial(channels.send_mail, notice, settings)
    if settings.slack_webhook_url:
        used["Slack"] = partial(channels.send_slack, notice, settings)
    if settings.healthcheck_url:  # a log entry neither starts nor ends a run
        used["dead-man's switch"] = partial(channels.ping, settings.healthcheck_url, "log", subject, text)
    if not used:
        screen.print("No channel is set. Hint: set SMTP_HOST, SLACK_WEBHOOK_URL or HEALTHCHECK_URL.")
        return Status.SETTINGS
    told = channels.tell(used)
    made = table("", "channel", "test message")
    for name, why in told.items():
        add_row(made, name, why or "delivered")
    show(screen, made)
    return Status.SETTINGS if any(told.values()) else Status.DONE


if __name__ == "__main__":
    run_command("try-channels", main, Settings)
