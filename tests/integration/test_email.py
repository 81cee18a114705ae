"""Mails to a real SMTP server: what they say, how they travel, and what each refusal means."""

import socket
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bot.notify.channel import Notice, TryLater, Undeliverable
from bot.notify.email import EmailChannel, Server, mail
from tests.mailbox import certificate, smtp_server

NOTICE = Notice(
    id="msg_req_1_7",
    address="manager@example.com",
    title="High risk, waiting for a decision: delete the file “/srv/<b>data</b>”",
    description="The agent builder asks before it acts.\nIt says: “clean & tidy”",
    severity="high",
    at=datetime(2026, 11, 22, 12, tzinfo=UTC),
    link="https://keyturn.slack.com/archives/C0APPROVE/p1",
    data={"request_id": "req_1"},
)


def channel(port: int, user: str = "", scheme: str = "smtp", **given: object) -> EmailChannel:
    at = f"{user}@" if user else ""
    url = f"{scheme}://{at}127.0.0.1:{port}?from=keyturn@example.com"
    return EmailChannel(Server.of(url), **given)  # type: ignore[arg-type]  # only `tls` is given


async def test_a_mail_says_the_same_in_text_and_html_and_links_to_slack() -> None:
    async with smtp_server() as box:
        await channel(box.port).send_notification(NOTICE)
    [got] = box.mails
    assert (got["From"], got["To"]) == ("keyturn@example.com", "manager@example.com")
    assert got["Subject"] == NOTICE.title
    assert got["Auto-Submitted"] == "auto-generated"
    text, html = got.get_body(("plain",)), got.get_body(("html",))
    assert text is not None
    assert html is not None
    assert "It says: “clean & tidy”" in text.get_content()
    assert f"Open it in Slack: {NOTICE.link}" in text.get_content()
    assert "clean &amp; tidy" in html.get_content()
    assert "<b>data</b>" not in html.get_content()
    assert html.get_content().count("href=") == 1


async def test_no_link_in_a_mail_decides_anything() -> None:
    whole = mail(NOTICE, sender="keyturn@example.com").as_string()
    assert "approve" not in whole.replace("nothing in this mail can approve", "").casefold().replace(
        "c0approve", ""
    )


async def test_repeats_have_the_same_id_and_all_mails_of_a_request_one_thread() -> None:
    first = mail(NOTICE, sender="keyturn@example.com")
    other = mail(replace(NOTICE, id="msg_req_1_9"), sender="keyturn@example.com")
    assert first["Message-ID"] == mail(NOTICE, sender="keyturn@example.com")["Message-ID"]
    assert first["Message-ID"] != other["Message-ID"]
    assert first["References"] == other["References"] == "<req_1@example.com>"


async def test_no_text_of_an_agent_adds_a_header() -> None:
    with pytest.raises(ValueError, match="linefeed"):
        mail(replace(NOTICE, title="x\r\nBcc: all@example.com"), sender="keyturn@example.com")


async def test_the_connection_is_encrypted_when_the_server_offers_it(tmp_path: Path) -> None:
    server, client = certificate(tmp_path)
    async with smtp_server(starttls=server) as box:
        await channel(box.port, "keyturn:s3cret", tls=client).send_notification(NOTICE)
    assert box.encrypted == [True]
    assert box.logins == [("keyturn", "s3cret")]


async def test_smtps_is_encrypted_from_the_first_byte(tmp_path: Path) -> None:
    server, client = certificate(tmp_path)
    async with smtp_server(implicit=server) as box:
        await channel(box.port, "keyturn:s3cret", "smtps", tls=client).send_notification(NOTICE)
    assert len(box.mails) == 1


async def test_a_server_that_cannot_prove_who_it_is_gets_no_mail(tmp_path: Path) -> None:
    server, _ = certificate(tmp_path)
    async with smtp_server(starttls=server) as box:
        with pytest.raises(TryLater) as failed:
            await channel(box.port, "keyturn:s3cret").send_notification(NOTICE)
    assert failed.value.code == "tls_failed"
    assert box.logins == []


async def test_a_password_never_travels_in_the_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *rest, **more: real("127.0.0.1", *rest, **more))
    async with smtp_server() as box:
        server = Server.of(f"smtp://keyturn:s3cret@mail.test:{box.port}")
        with pytest.raises(Undeliverable) as failed:
            await EmailChannel(server).send_notification(NOTICE)
    assert failed.value.code == "tls_required"
    assert box.logins == []


@pytest.mark.parametrize(
    ("answers", "kind", "code"),
    [
        ({"to_recipient": "550 no such user"}, Undeliverable, "unknown_recipient"),
        ({"to_recipient": "554 go away"}, Undeliverable, "refused"),
        ({"to_recipient": "450 come back"}, TryLater, "deferred"),
        ({"to_data": "552 too much"}, Undeliverable, "bounced"),
        ({"to_data": "451 come back"}, TryLater, "deferred"),
    ],
)
async def test_each_refusal_has_its_code(answers: dict[str, str], kind: type[Exception], code: str) -> None:
    async with smtp_server() as box:
        for name, answer in answers.items():
            setattr(box, name, answer)
        with pytest.raises(kind) as failed:
            await channel(box.port).send_notification(NOTICE)
    assert getattr(failed.value, "code") == code  # noqa: B009  # the type varies by case


async def test_a_wrong_password_is_told_apart(tmp_path: Path) -> None:
    server, client = certificate(tmp_path)
    async with smtp_server(starttls=server) as box:
        with pytest.raises(Undeliverable) as failed:
            await channel(box.port, "keyturn:wrong", tls=client).send_notification(NOTICE)
    assert failed.value.code == "not_authorised"


async def test_a_server_that_is_away_is_tried_later() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        with pytest.raises(TryLater) as failed:
            await channel(silent.getsockname()[1]).send_notification(NOTICE)
    assert failed.value.code == "unreachable"


async def test_without_a_server_nothing_can_be_delivered() -> None:
    with pytest.raises(Undeliverable) as failed:
        await EmailChannel(None).send_notification(NOTICE)
    assert failed.value.code == "not_configured"


def test_the_url_says_everything() -> None:
    found = Server.of("smtps://me%40x:p%2Fw@mail.example.com?from=bot@example.com")
    assert (found.host, found.port, found.implicit_tls) == ("mail.example.com", 465, True)
    assert (found.user, found.password and found.password.get_secret_value()) == ("me@x", "p/w")
    assert found.sender == "bot@example.com"
    plain = Server.of("smtp://mail.example.com:2525")
    assert (plain.port, plain.implicit_tls, plain.user) == (2525, False, None)
    assert plain.sender == "keyturn@mail.example.com"


@pytest.mark.parametrize(
    "url",
    ["mail.example.com", "http://mail.example.com", "smtp://", "smtp://me@mail.example.com",
     "smtp://mail.example.com:mail", "smtp://mail.example.com?to=x@y.example", "smtp://mail.example.com/inbox"],
)  # fmt: skip
def test_a_wrong_url_is_refused_and_no_password_shown(url: str) -> None:
    with pytest.raises(ValueError, match=r"write|port|only"):
        Server.of(url)
