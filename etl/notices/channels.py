"""The channels to people: e-mail, Slack, and a dead-man's switch. Trouble with a channel never harms the run."""

import smtplib
import socket
import ssl
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable
from contextlib import suppress
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from html import escape
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit, urlunsplit

from pydantic import SecretStr
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt

from base import trust
from base.exposure import goes_in_clear
from base.masking import clean
from base.settings import SMTPS, Settings
from base.trouble import StageError

TIMEOUT = 10  # seconds that a server may be silent
TRIES = 3
PAUSE = 2  # seconds between two tries, unless the server asks for another pause
DEADLINE = 45  # seconds for all channels together
SERVER_ERROR = 500
TOO_MANY = 429

Channel = Callable[[], None]


class Notice(NamedTuple):
    """A message in the form of each channel."""

    subject: str
    text: str
    html: str
    slack: str  # mrkdwn
    attachment: Path | None = None  # an HTML page, for the e-mail only


class Unreached(Exception):
    """A channel did not take the message. The text says why, is clean, and holds no secret."""

    def __init__(self, why: str) -> None:
        super().__init__(clean(why))


def tell(channels: dict[str, Channel]) -> dict[str, str | None]:
    """Use all channels at the same time; return for each name why the channel failed, or None if it did not fail."""
    found: dict[str, str | None] = dict.fromkeys(channels, f"no answer within {DEADLINE} seconds")

    def use(name: str, channel: Channel) -> None:
        try:
            channel()
            found[name] = None
        except Unreached as error:
            found[name] = str(error)
        except Exception as error:  # noqa: BLE001 - a bug in a channel must not harm the run
            found[name] = f"a bug: {type(error).__name__}"

    threads = [threading.Thread(target=use, args=item, daemon=True) for item in channels.items()]
    for thread in threads:
        thread.start()
    end = time.monotonic() + DEADLINE
    for thread in threads:
        thread.join(max(0, end - time.monotonic()))
    return dict(found)


def retries() -> Retrying:
    """Return a caller: it tries a function up to TRIES times, and gives up early if ``may_pass`` says no."""
    return Retrying(retry=retry_if_exception(may_pass), stop=stop_after_attempt(TRIES), wait=pause_after, reraise=True)


def may_pass(error: BaseException) -> bool:
    """Return whether another try may help after this error."""
    if isinstance(error, urllib.error.HTTPError):
        return error.code == TOO_MANY or error.code >= SERVER_ERROR
    if isinstance(error, smtplib.SMTPResponseException):
        return error.smtp_code < SERVER_ERROR
    if isinstance(error, smtplib.SMTPServerDisconnected):
        return True
    return isinstance(error, OSError) and not isinstance(error, smtplib.SMTPException | ssl.SSLError)


def pause_after(state: RetryCallState) -> float:
    """Return the seconds until the next try: PAUSE, unless the server asks for another pause (Retry-After)."""
    error = state.outcome.exception() if state.outcome else None
    asked = error.headers.get("Retry-After", "") if isinstance(error, urllib.error.HTTPError) else ""
    return float(asked) if asked.isdecimal() else PAUSE


def send_mail(notice: Notice, settings: Settings) -> None:
    """Send the notice as an e-mail with a text part and an HTML part, or raise Unreached."""
    if not settings.mail_from or not settings.mail_to:
        raise Unreached("SMTP_HOST needs MAIL_FROM and MAIL_TO")
    message = EmailMessage()
    message["Subject"] = notice.subject
    message["From"] = settings.mail_from
    message["To"] = settings.mail_to
    message["Date"] = formatdate(localtime=True)
    message["Message-ID"] = make_msgid(domain=socket.gethostname())
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(notice.text)
    message.add_alternative(notice.html, subtype="html")
    if path := notice.attachment:
        message.add_attachment(path.read_text(), subtype="html", filename=path.name)
    try:
        retries()(deliver, message, settings)
    except smtplib.SMTPRecipientsRefused as error:
        raise Unreached(f"the mail server refuses all {len(error.recipients)} recipients") from error
    except smtplib.SMTPResponseException as error:
        said = error.smtp_error.decode(errors="replace") if isinstance(error.smtp_error, bytes) else error.smtp_error
        raise Unreached(f"the mail server says {error.smtp_code} {said}") from error
    except (smtplib.SMTPException, OSError) as error:
        raise Unreached(f"{settings.smtp_host}:{settings.smtp_port}: {error}") from error


def deliver(message: EmailMessage, settings: Settings) -> None:
    """Hand the message to the mail server; raise Unreached if the server refuses some of the recipients."""
    server = smtp(settings)
    try:
        refused = server.send_message(message)
        with suppress(smtplib.SMTPException, OSError):  # the server has the message: trouble with QUIT must not send it again
            server.quit()
    finally:
        server.close()
    if refused:
        raise Unreached(f"the mail server refuses {len(refused)} of the recipients")


def smtp(settings: Settings) -> smtplib.SMTP:
    """Return a connection to the mail server, encrypted and logged in as the settings say; Unreached if SMTP_CA_FILE is none."""
    try:
        if settings.smtp_ca_file:
            trust.verify("SMTP_CA_FILE", settings.smtp_ca_file)
        context = ssl.create_default_context(cafile=settings.smtp_ca_file)  # None: the system's certificates
    except StageError as error:
        raise Unreached(error.args[1]) from error
    except OSError as error:
        raise Unreached(f"SMTP_CA_FILE {settings.smtp_ca_file}: {error.strerror or error}") from error
    host = settings.smtp_host or ""
    if settings.smtp_port == SMTPS:
        server: smtplib.SMTP = smtplib.SMTP_SSL(host, settings.smtp_port, timeout=TIMEOUT, context=context)
    else:
        server = smtplib.SMTP(host, settings.smtp_port, timeout=TIMEOUT)
    try:
        if settings.smtp_starttls and settings.smtp_port != SMTPS:
            server.starttls(context=context)
        if settings.smtp_user:
            server.login(settings.smtp_user, settings.smtp_password.get_secret_value() if settings.smtp_password else "")
    except BaseException:
        server.close()
        raise
    return server


def send_slack(notice: Notice, settings: Settings) -> None:
    """Post the notice to Slack's incoming webhook, or raise Unreached."""
    # Imported here: slack_sdk is slow to import, and a good night sends nothing to Slack.
    from slack_sdk.http_retry import builtin_handlers as again  # noqa: PLC0415
    from slack_sdk.webhook import WebhookClient  # noqa: PLC0415

    assert settings.slack_webhook_url
    follow_into_no_clear()
    client = WebhookClient(
        settings.slack_webhook_url.get_secret_value(),
        timeout=TIMEOUT,
        retry_handlers=[
            again.ConnectionErrorRetryHandler(TRIES - 1),
            again.RateLimitErrorRetryHandler(TRIES - 1),
            again.ServerErrorRetryHandler(TRIES - 1),
        ],
    )
    client.proxy = None  # it would take HTTPS_PROXY for http too, and follow every redirect
    block = {"type": "section", "text": {"type": "mrkdwn", "text": notice.slack}}
    try:
        answer = client.send(text=escape(notice.subject, quote=False), blocks=[block])  # shown where a block cannot be
    except (OSError, ValueError) as error:  # the error's text may hold the address, which is secret
        raise Unreached(f"Slack: {words_of(error)}") from None
    if answer.status_code != 200:
        raise Unreached(f"Slack answers {answer.status_code}")


class Redirects(urllib.request.HTTPRedirectHandler):
    """Redirects are followed, but none from a protected address to one in clear: the new address may hold the secret."""

    def redirect_request(self, *about: Any) -> urllib.request.Request | None:
        """Return the request to the new address, or raise URLError."""
        request, answer, *_, address = about
        if goes_in_clear(address) and not goes_in_clear(request.full_url):
            answer.close()
            raise urllib.error.URLError(OSError(0, "the server sends us to an address in clear"))
        return super().redirect_request(*about)


def follow_into_no_clear() -> None:
    """Have urllib, for us and for Slack's client, follow redirects as Redirects does; the environment's proxies are used."""
    urllib.request.install_opener(urllib.request.build_opener(Redirects))


def ping(url: SecretStr, path: str, run_id: str, body: str = "") -> None:
    """Ping the dead-man's switch, or raise Unreached; ``path`` is start, log or an exit status (API of healthchecks.io)."""
    run = uuid.uuid5(uuid.NAMESPACE_OID, run_id)
    address = urlsplit(url.get_secret_value())
    query = f"{address.query}&rid={run}" if address.query else f"rid={run}"
    target = urlunsplit(address._replace(path=f"{address.path.rstrip('/')}/{path}", query=query))
    try:
        retries()(post, target, body.encode())
    except (OSError, ValueError) as error:
        raise Unreached(f"HEALTHCHECK_URL: {words_of(error)}") from None


def post(url: str, body: bytes) -> None:
    """POST to an address of the settings, which allow http and https only."""
    follow_into_no_clear()
    with urllib.request.urlopen(urllib.request.Request(url, body), timeout=TIMEOUT):  # noqa: S310
        pass


def words_of(error: Exception) -> str:
    """Return an error in words that do not hold the address."""
    if isinstance(error, urllib.error.HTTPError):
        return f"the server answers {error.code}"
    if isinstance(error, urllib.error.URLError) and isinstance(error.reason, Exception):
        error = error.reason
    if isinstance(error, TimeoutError):
        return "timed out"
    return getattr(error, "strerror", None) or type(error).__name__
