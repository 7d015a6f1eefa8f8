"""Channels that hang, refuse or cannot be reached: the time is limited, and no message holds a secret."""

import socket
import time
from functools import partial
from pathlib import Path

import pytest
from pydantic import SecretStr

from base.settings import Settings
from kit.receivers import mail_sink, web_sink
from kit.servers import free_port, wait_for
from notices import channels
from notices.channels import Notice, Unreached

NOTICE = Notice("subject", "text\n", "<p>text</p>", "text")


def made(**given: object) -> Settings:
    return Settings(**{"sftp_host": "x", "sftp_user": "x"} | given)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channels, "PAUSE", 0.05)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channels, "TIMEOUT", 0.3)


def why(channel: channels.Channel) -> str:
    with pytest.raises(Unreached) as caught:
        channel()
    return str(caught.value)


@pytest.mark.usefixtures("impatient")
def test_a_web_server_that_hangs() -> None:
    with web_sink() as sink:
        sink.answers = [0] * 9
        url = SecretStr(f"{sink.url}/SECRET")
        assert why(partial(channels.ping, url, "0", "run")) == "HEALTHCHECK_URL: timed out"
        assert why(partial(channels.send_slack, NOTICE, made(slack_webhook_url=f"{sink.url}/SECRET"))) == "Slack: timed out"
        wait_for(lambda: len(sink.received) > channels.TRIES)
        assert len(sink.received) == channels.TRIES + 1  # Slack may have it already: a second message would be too many


def test_a_web_server_that_is_not_there() -> None:
    url = SecretStr(f"http://127.0.0.1:{free_port()}/SECRET")
    assert why(partial(channels.ping, url, "0", "run")) == "HEALTHCHECK_URL: Connection refused"
    assert "SECRET" not in why(partial(channels.send_slack, NOTICE, made(slack_webhook_url=url)))


def test_a_server_that_asks_for_more_patience_than_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channels, "DEADLINE", 0.5)
    with web_sink() as sink:
        sink.answers, sink.retry_after = [429], "3600"
        started = time.monotonic()
        told = channels.tell({"switch": partial(channels.ping, SecretStr(sink.url), "0", "run"), "good": lambda: None})
        assert time.monotonic() - started < 5
    assert told == {"switch": "no answer within 0.5 seconds", "good": None}


@pytest.mark.usefixtures("impatient")
def test_a_mail_server_that_hangs() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = made(
            smtp_host="127.0.0.1", smtp_port=silent.getsockname()[1], mail_from="a@example.org", mail_to="b@example.org"
        )
        assert "timed out" in why(partial(channels.send_mail, NOTICE, settings))


def test_a_mail_server_without_the_encryption_that_is_asked_for() -> None:
    with mail_sink() as (sink, given):
        settings = made(**{name.lower(): value for name, value in given.items()} | {"smtp_starttls": True})
        assert "STARTTLS" in why(partial(channels.send_mail, NOTICE, settings))
        assert sink.received == []


def test_a_mail_server_that_is_busy_is_tried_again() -> None:
    with mail_sink() as (sink, given):
        sink.answer = "451 later"
        settings = made(**{name.lower(): value for name, value in given.items()})
        assert why(partial(channels.send_mail, NOTICE, settings)) == "the mail server says 451 later"
        sink.answer = "250 OK"
        channels.send_mail(NOTICE, settings)
        assert [str(message["Auto-Submitted"]) for message in sink.received] == ["auto-generated"]


def test_mail_without_an_address() -> None:
    assert "MAIL_FROM and MAIL_TO" in why(partial(channels.send_mail, NOTICE, made(smtp_host="127.0.0.1")))


def test_a_bug_in_a_channel_is_no_bug_of_the_run(tmp_path: Path) -> None:
    assert channels.tell({"broken": lambda: 1 // 0}) == {"broken": "a bug: ZeroDivisionError"}  # type: ignore[dict-item,return-value]


def test_a_switch_whose_address_has_a_query() -> None:
    with web_sink() as sink:
        channels.ping(SecretStr(f"{sink.url}/key/visitas?create=1"), "12", "run")
        assert sink.received[0].path.startswith("/key/visitas/12?create=1&rid=")


def test_all_channels_together_have_one_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channels, "DEADLINE", 0.4)
    started = time.monotonic()
    told = channels.tell({str(number): partial(time.sleep, 5) for number in range(4)})
    assert time.monotonic() - started < 2
    assert len(told) == 4
    assert all(told.values())
