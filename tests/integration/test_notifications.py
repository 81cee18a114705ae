"""Notices outside Slack, from the store to a real receiver: said once, audited each time, never too late."""

import json
import logging
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import timedelta
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from standardwebhooks import Webhook

from bot.config import ConfigError, Settings
from bot.core import lifecycle
from bot.core.models import Actor, Agent, ApprovalRequest, Cause, Outgoing, Target, Via
from bot.core.notifying import knocks
from bot.notify import sending
from bot.notify.builtin import built_in
from bot.notify.channel import RETRIES, Notice, TryLater, Undeliverable
from bot.notify.sending import Notifications
from bot.services.keys import webhook_secret
from bot.services.outbox import Outbox
from bot.store import Store
from bot.store.commands import CreateRequest, EnqueueOutbox, LeaseDue, SaveTransition
from tests.factories import NOON, make_judged, make_request, make_rule, make_submission
from tests.integration.test_webhook import receiving, status
from tests.mailbox import smtp_server
from tests.store.conftest import HandClock

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
LINK = "https://keyturn.slack.com/archives/C0APPROVE/p1"


class Pager:
    """A third-party kind that does as it is told."""

    trouble: Exception | None = None

    def __init__(self) -> None:
        self.settings: Mapping[str, str] = {}
        self.got: list[Notice] = []
        self.closed = False
        pagers.append(self)

    async def initialize(self, settings: Mapping[str, str]) -> None:
        self.settings = settings
        if "token" not in settings:
            raise ValueError("set KEYTURN_NOTIFY_PAGER_TOKEN")

    async def send_notification(self, notice: Notice) -> None:
        self.got.append(notice)
        if self.trouble is not None:
            raise self.trouble

    async def shutdown(self) -> None:
        self.closed = True


pagers: list[Pager] = []
PAGER = EntryPoint("pager", f"{__name__}:Pager", "keyturn.notifications")
GIVEN = {"KEYTURN_NOTIFY_PAGER_TOKEN": "t0ken", "KEYTURN_NOTIFY_OTHER_TOKEN": "not yours"}


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
async def store(tmp_path: Path, clock: HandClock) -> AsyncIterator[Store]:
    async with Store.open(f"sqlite:///{tmp_path}/keyturn.db", clock=clock) as opened:
        yield opened


@pytest.fixture
async def pager() -> AsyncIterator[Pager]:
    pagers.clear()
    yield Pager()
    pagers.clear()


async def escalated(store: Store, *targets: Target) -> ApprovalRequest:
    """A pending request at level 1 whose targets are waiting in the outbox."""
    judged = make_judged(channel=None, ladder=(make_rule(notify=targets),), level="high")
    step = lifecycle.submit(
        make_submission(judged.action),
        judged,
        id=make_request().id,
        agent=AGENT,
        now=NOON,
    )
    await store.write(CreateRequest(step))
    request = replace(step.request, level=1)
    await store.write(EnqueueOutbox(knocks(request, targets, {}), NOON))
    return step.request


async def pass_over(store: Store, clock: HandClock, channels: Mapping[str, object]) -> None:
    """One pass of the outbox through these channels."""

    async def link_to(_request: ApprovalRequest) -> str | None:
        return LINK

    sender = Notifications(channels, store, clock, link_to)  # type: ignore[arg-type]  # channels of this test
    await Outbox(store, clock, [sender]).run_once()


async def audited(store: Store, request: ApprovalRequest) -> list[tuple[str, str, str | None]]:
    found = await store.reads.events(request.id)
    return [
        (event.event, event.body["to"], event.body.get("code"))
        for event in found
        if event.event.startswith("notification_")
    ]


AGENT = Agent("builder", frozenset({"agent"}), None, 600, (), NOON)


def own(clock: HandClock, smtp_port: int | None = None) -> dict[str, object]:
    url = None if smtp_port is None else f"smtp://127.0.0.1:{smtp_port}?from=keyturn@example.com"
    return dict(built_in(clock, smtp_url=url, webhook_secret=SECRET, allow=("127.0.0.1",)))


async def test_each_recipient_is_told_and_audited_by_itself(
    store: Store, clock: HandClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "keyturn.notifications")
    async with smtp_server() as box, receiving() as receiver:
        request = await escalated(
            store,
            Target("email", "manager@example.com"),
            Target("webhook", receiver.url),
            Target("log", "warning"),
        )
        await pass_over(store, clock, own(clock, box.port))
        hook = receiver.url
    assert sorted(await audited(store, request)) == sorted(
        ("notification_sent", to, None) for to in ("manager@example.com", hook, "warning")
    )
    assert "High risk, waiting for a decision" in box.mails[0]["Subject"]
    assert [record.levelname for record in caplog.records if record.name == "keyturn.notifications"] == [
        "WARNING"
    ]
    assert (await store.reads.counts()).unsent == 0


async def test_a_webhook_is_signed_and_names_the_request_but_not_its_params(
    store: Store, clock: HandClock
) -> None:
    async with receiving() as receiver:
        request = await escalated(store, Target("webhook", receiver.url))
        await pass_over(store, clock, own(clock))
        [(headers, body)] = receiver.got
    secret = Webhook(SECRET)
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.{body.decode()}"
    assert headers["webhook-signature"] == secret.sign(headers["webhook-id"], clock.now(), body.decode())
    assert signed.startswith(f"msg_{request.id}_")
    said = json.loads(body)
    assert said["type"] == "request.escalated"
    assert said["data"]["request_id"] == request.id
    assert (said["data"]["level"], said["data"]["link"], said["data"]["risk"]) == (1, LINK, "high")
    assert "params" not in body.decode()


async def test_a_refused_address_fails_at_once_and_the_others_get_theirs(
    store: Store, clock: HandClock
) -> None:
    async with smtp_server() as box:
        box.to_recipient = "550 no such user"
        request = await escalated(
            store,
            Target("email", "gone@example.com"),
            Target("webhook", "https://169.254.169.254/latest"),
            Target("log", "info"),
        )
        await pass_over(store, clock, own(clock, box.port))
    assert sorted(await audited(store, request), key=str) == [
        ("notification_failed", "gone@example.com", "unknown_recipient"),
        ("notification_failed", "https://169.254.169.254/latest", "private_address"),
        ("notification_sent", "info", None),
    ]
    assert (await store.reads.counts()).unsent == 0


async def test_each_failed_try_is_audited_and_the_schedule_is_kept(store: Store, clock: HandClock) -> None:
    async with receiving() as receiver:
        receiver.answer = status(503)
        request = await escalated(store, Target("webhook", receiver.url))
        await pass_over(store, clock, own(clock))
        clock.move(RETRIES[0] - timedelta(milliseconds=1))
        await pass_over(store, clock, own(clock))
        assert len(receiver.got) == 1
        clock.move(RETRIES[0])
        receiver.answer = None
        await pass_over(store, clock, own(clock))
        assert len(receiver.got) == 2
        assert receiver.got[0][0]["webhook-id"] == receiver.got[1][0]["webhook-id"]
        assert [(name, code) for name, _, code in await audited(store, request)] == [
            ("notification_failed", "http_503"),
            ("notification_sent", None),
        ]


async def test_a_next_try_that_is_far_away_lets_the_ladder_look_again(store: Store, clock: HandClock) -> None:
    async with receiving() as receiver:
        receiver.answer = status(503)
        request = await escalated(store, Target("webhook", receiver.url))
        await pass_over(store, clock, own(clock))
        assert await store.write(LeaseDue(clock.now())) == [], "the next try comes in seconds"
        clock.move(2 * RETRIES[0])
        await pass_over(store, clock, own(clock))
        assert await store.write(LeaseDue(clock.now())) == [request.id]
    failures = [e for e in await store.reads.events(request.id) if e.event == "notification_failed"]
    assert [e.body["again_in_seconds"] <= 60 for e in failures] == [True, False]
    assert {e.agent for e in failures} == {"builder"}


async def test_nobody_is_told_of_a_request_that_is_decided(store: Store, clock: HandClock) -> None:
    async with receiving() as receiver:
        request = await escalated(store, Target("webhook", receiver.url))
        step = lifecycle.cancel(
            request,
            reason=None,
            actor=Actor.agent("builder"),
            cause=Cause.CANCELLED_BY_AGENT,
            via=Via.HTTP,
            now=NOON,
        )
        assert step is not None
        await store.write(SaveTransition(step))
        await pass_over(store, clock, own(clock))
        assert receiver.got == []
    assert await audited(store, request) == []
    assert (await store.reads.counts()).unsent == 0


async def test_a_plug_in_gets_its_settings_its_notices_and_its_end(store: Store, clock: HandClock) -> None:
    pagers.clear()
    request = await escalated(store, Target("pager", "555"))
    async with sending.opened({}, {"pager": PAGER}, GIVEN) as channels:
        [pager] = pagers
        await pass_over(store, clock, channels)
    assert pager.settings == {"token": "t0ken"}
    assert [(notice.address, notice.severity, notice.link) for notice in pager.got] == [("555", "high", LINK)]
    assert pager.closed
    assert [(name, to) for name, to, _ in await audited(store, request)] == [("notification_sent", "555")]


@pytest.mark.parametrize(
    ("trouble", "code", "waits"),
    [
        (Undeliverable("refused"), "refused", False),
        (TryLater("busy", after=timedelta(minutes=1)), "busy", True),
        (RuntimeError("a bug of theirs"), "channel_broke", True),
    ],
)
async def test_a_plug_in_says_how_it_went_and_its_bugs_are_tried_again(
    store: Store, clock: HandClock, pager: Pager, trouble: Exception, code: str, waits: bool
) -> None:
    pager.trouble = trouble
    request = await escalated(store, Target("pager", "555"))
    await pass_over(store, clock, {"pager": pager})
    assert await audited(store, request) == [("notification_failed", "555", code)]
    assert (await store.reads.counts()).unsent == int(waits)


async def test_a_plug_in_that_cannot_start_keeps_keyturn_from_starting() -> None:
    with pytest.raises(ValueError, match="KEYTURN_NOTIFY_PAGER_TOKEN"):
        async with sending.opened({}, {"pager": PAGER}, {}):
            pass
    with pytest.raises(ValueError, match="cannot be loaded"):
        async with sending.opened({}, {"x": EntryPoint("x", "nowhere:X", PAGER.group)}, {}):
            pass
    with pytest.raises(ValueError, match="Keyturn's own"):
        async with sending.opened(own(HandClock()), {"log": PAGER}, {}):  # type: ignore[arg-type]  # as above
            pass


def settings(**given: str) -> Settings:
    return Settings.read({"SLACK_BOT_TOKEN": "xoxb-1", "SLACK_APP_TOKEN": "xapp-1", **given})


def test_settings_of_plug_ins_and_secrets_come_from_the_environment(tmp_path: Path) -> None:
    found = settings(KEYTURN_NOTIFY_PAGER_TOKEN="t0ken", KEYTURN_WEBHOOK_SECRET=SECRET)
    assert found.plugin_settings["KEYTURN_NOTIFY_PAGER_TOKEN"].get_secret_value() == "t0ken"
    assert "t0ken" not in repr(found)
    assert SECRET not in repr(found)
    made = webhook_secret(tmp_path / "keys")
    assert made == webhook_secret(tmp_path / "keys")
    assert Webhook(made).sign("msg_1", NOON, "{}")
    assert (tmp_path / "keys" / "webhook.secret").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("secret", ["hunter2", "whsec_", "whsec_c2hvcnQ=", "whsec_not base64 at all"])
def test_a_webhook_secret_that_signs_nothing_is_refused(secret: str) -> None:
    with pytest.raises(ConfigError, match="KEYTURN_WEBHOOK_SECRET is wrong"):
        settings(KEYTURN_WEBHOOK_SECRET=secret)


def test_a_wrong_smtp_url_refuses_to_start_and_shows_no_password() -> None:
    with pytest.raises(ValueError, match="KEYTURN_SMTP_URL is wrong") as refused:
        built_in(HandClock(), smtp_url="smpt://me:s3cret@mail", webhook_secret=SECRET, allow=())
    assert "s3cret" not in str(refused.value)


def test_work_of_a_kind_names_its_address_and_level() -> None:
    [work] = knocks(replace(make_request(), level=1), [Target("pager", "555")], {})
    assert isinstance(work, Outgoing)
    assert work.payload == {"kind": "pager", "address": "555", "level": 1}
