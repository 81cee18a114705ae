"""The plug-in and the schedules shown in the documentation work as they stand there."""

import re
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from ruamel.yaml import YAML

from bot.core.policy import PolicySet, build
from bot.notify.channel import Notice, TryLater, Undeliverable
from bot.services import plugins
from bot.services.policies import parse

DOCS = Path(__file__).parents[2] / "docs"
NOTICE = Notice(
    "msg_1", "sre", "Title", "Words", "high", datetime(2026, 11, 22, tzinfo=UTC), "https://slack", {}
)


def block(page: str, language: str, containing: str) -> str:
    found = re.findall(rf"```{language}\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)
    return next(str(text) for text in found if containing in text)


def plug_in() -> Any:
    names: dict[str, Any] = {}
    exec(block("notifications.md", "python", "class PagerChannel"), names)
    return names["PagerChannel"]()


async def test_the_example_plug_in_delivers_and_tells_failures_apart() -> None:
    pages: list[Any] = []
    status = 201

    async def take(request: web.Request) -> web.Response:
        pages.append((request.headers["Authorization"], await request.json()))
        return web.Response(status=status)

    app = web.Application()
    app.router.add_post("/pages", take)
    channel = plug_in()
    with pytest.raises(ValueError, match="KEYTURN_NOTIFY_PAGER_TOKEN"):
        await channel.initialize({})
    async with TestServer(app) as server:
        await channel.initialize({"token": "t0ken", "url": str(server.make_url("/"))})
        await channel.send_notification(NOTICE)
        status = 404
        with pytest.raises(Undeliverable):
            await channel.send_notification(NOTICE)
        status = 503
        with pytest.raises(TryLater):
            await channel.send_notification(NOTICE)
    with pytest.raises(TryLater):
        await channel.send_notification(NOTICE)
    await channel.shutdown()
    assert pages[0] == (
        "Bearer t0ken",
        {"key": "msg_1", "team": "sre", "text": "Title", "link": "https://slack"},
    )


def test_the_example_schedules_and_targets_are_valid_together() -> None:
    workspace = parse("workspace.yaml", block("oncall.md", "yaml", "schedules:").encode()).value
    workspace["groups"]["manager"] = {"users": ["dana@example.com"]}
    rules = YAML(typ="safe").load(block("notifications.md", "yaml", "escalation_rules:"))
    policy = {"approvers": {"groups": ["oncall"]}, **rules}
    built = build({"workspace.yaml": workspace, "default.yaml": policy})
    assert isinstance(built, PolicySet), built
    assert len(built.workspace.schedules["primary"].layers) == 2
    assert len(built.policies[0].escalations[0].rung.notify) == 7


def test_the_example_is_found_once_it_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = tomllib.loads(block("notifications.md", "toml", "pager"))["project"]
    [(group, kinds)] = project["entry-points"].items()
    (tmp_path / "acme_pager.py").write_text(block("notifications.md", "python", "class PagerChannel"))
    about = tmp_path / "acme_pager-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: 1.0\n")
    lines = [f"[{group}]", *(f"{kind} = {value}" for kind, value in kinds.items())]
    (about / "entry_points.txt").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(str(tmp_path))
    found = plugins.installed()["pager"].load()
    assert found.__name__ == "PagerChannel"
    built = build(
        {
            "workspace.yaml": {"groups": {"sre": {"users": ["U0SRE0001"]}}},
            "default.yaml": {
                "approvers": {"groups": ["sre"]},
                "escalation_rules": [
                    {
                        "name": "page",
                        "trigger": {"after": "5m"},
                        "escalate_to": "sre",
                        "notify": [{"pager": "sre"}],
                    }
                ],
            },
        },
        kinds=tuple(plugins.installed()),
    )
    assert isinstance(built, PolicySet), built
