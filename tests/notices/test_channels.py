"""Channels that hang, refuse or cannot be reached: the time is limited, and no message holds a secret."""

import socket
import time
import urllib.request
from functools import partial
from pathlib import Path

import pytest
from pydantic import SecretStr

from base.settings import Settings
from kit.receivers import certificate, mail_sink, web_sink
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
        assert time.monotonic() - started < 60
    assert told == {"switch": "no answer within 0.5 seconds", "good": None}


@pytest.mark.usefixtures("impatient")
def test_a_mail_server_that_hangs() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = made(
            smtp_host="127.0.0.1", smtp_port=silent.getsockname()[1], mail_from="a@example.org", mail_to="b@example.org"
        )
        assert "timed out" in why(partial(channels.send_mail, NOTICE, settings))


def test_a_mail_server_without_the_encryption_that_is_asked_for() -> None:
    with mail_sink(login=("etl", "hunter2")) as (sink, given):
        settings = made(**{name.lower(): value for name, value in given.items()} | {"smtp_starttls": True})
        assert "STARTTLS" in why(partial(channels.send_mail, NOTICE, settings))
        assert (sink.received, sink.logins) == ([], [])
        channels.send_mail(NOTICE, made(**{name.lower(): value for name, value in given.items()}))  # in clear, to this host
        assert sink.logins == ["etl"]


def test_a_mail_server_of_another_name(tmp_path: Path) -> None:
    with mail_sink(certificate(tmp_path), login=("etl", "hunter2")) as (sink, given):
        settings = made(**{name.lower(): value for name, value in given.items()} | {"smtp_host": "127.0.0.1"})
        assert "not valid for '127.0.0.1'" in why(partial(channels.send_mail, NOTICE, settings))
        assert sink.logins == []


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
    told = channels.tell({str(number): partial(time.sleep, 120) for number in range(4)})
    assert time.monotonic() - started < 60
    assert len(told) == 4
    assert all(told.values())


def test_a_mail_server_with_certificates_of_its_own(tmp_path: Path) -> None:
    with mail_sink(certificate(tmp_path)) as (sink, given):
        settings = {name.lower(): value for name, value in given.items()}
        assert "self-signed certificate" in why(partial(channels.send_mail, NOTICE, made(**settings | {"smtp_ca_file": None})))
        for path in (tmp_path / "none", Path("/dev/null")):
            said = why(partial(channels.send_mail, NOTICE, made(**settings | {"smtp_ca_file": path})))
            assert said.startswith(f"SMTP_CA_FILE {path}: ")
        channels.send_mail(NOTICE, made(**settings))
        assert sink.secured == [True]


def test_every_mailbox_is_reached() -> None:
    with mail_sink() as (sink, given):
        several = {"mail_to": '"Lopez, Ana" <ana@example.org>; ops@example.org', "mail_from": "La noche ñ <etl@example.org>"}
        channels.send_mail(NOTICE, made(**{name.lower(): value for name, value in given.items()} | several))
        (message,) = sink.received
        assert [address.addr_spec for address in message["To"].addresses] == ["ana@example.org", "ops@example.org"]
        assert message["To"].addresses[0].display_name == "Lopez, Ana"
        assert message["From"].addresses[0].display_name == "La noche ñ"


def test_by_way_of_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The switch and Slack go that way."""
    monkeypatch.setattr(urllib.request, "_opener", None)  # it has kept the proxies of its first call
    with web_sink() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("no_proxy", "")
        url = SecretStr("http://hooks.example.invalid/SECRET")
        channels.ping(url, "0", "run")
        channels.send_slack(NOTICE, made(slack_webhook_url=url, allow_insecure=True))
        assert [request.path.partition("?")[0] for request in proxy.received] == [
            "http://hooks.example.invalid/SECRET/0",
            "http://hooks.example.invalid/SECRET",
        ]


def test_slack_takes_no_word_for_markup() -> None:
    """The text that stands in for the block, on a watch for example."""
    with web_sink() as sink:
        channels.send_slack(NOTICE._replace(subject='<!channel> & "x"'), made(slack_webhook_url=sink.url))
        assert sink.received[0].json["text"] == '&lt;!channel&gt; &amp; "x"'


def use(name: str, url: str) -> None:
    if name == "Slack":
        channels.send_slack(NOTICE, made(slack_webhook_url=url, allow_insecure=True))
    else:
        channels.ping(SecretStr(url), "0", "run")


@pytest.mark.parametrize("name", ["Slack", "HEALTHCHECK_URL"])
def test_a_redirect_into_the_clear_is_not_followed(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate(tmp_path)))
    with web_sink(tmp_path / "localhost.pem") as safe, web_sink() as plain, web_sink() as clear:
        far = clear.url.replace("127.0.0.1", "127.1")  # another spelling, as if it were another host
        for sink in (safe, plain):
            sink.answers, sink.location = [302] * channels.TRIES, f"{far}/SECRET"
            assert why(partial(use, name, sink.url)) == f"{name}: the server sends us to an address in clear"
        assert clear.received == []
        safe.answers, safe.location = [302], f"{safe.url}/new"
        use(name, safe.url)
        assert safe.paths()[-1] == "/new"
        clear.answers, clear.location = [302], f"{far}/new"
        use(name, far)  # it is in clear already
        assert clear.paths()[-1] == "/new"


@pytest.mark.parametrize("name", ["Slack", "HEALTHCHECK_URL"])
def test_an_address_in_clear_on_this_host_is_not_shown_to_the_proxy(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with web_sink() as sink, web_sink() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        use(name, sink.url)
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        use(name, sink.url)
        assert (len(sink.received), proxy.received) == (2, [])
