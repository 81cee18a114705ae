"""An agent of agent-safeguards 0.1.3, run in a process of its own: the guide's code, with our channel.

Prints one JSON object: what the stock `HumanActionHandler` made of each decision.
"""

import json
import sys
from decimal import Decimal
from typing import Any

from safeguards.human_action import ActionStatus, HumanAction, HumanActionHandler
from safeguards.types import AlertSeverity, SafetyAlert

from keyturn.safeguards import KeyturnChannel, apply_modifications

CASES = ["approve", "modify", "reject", "time out", "two lines", "remove", "late approve"]


def main(url: str, token: str) -> None:
    channel = KeyturnChannel()
    channel.initialize({"webhook_url": url, "api_key": token, "timeout_seconds": 300, "poll_interval": 5})
    handler = HumanActionHandler(channel)
    handler.set_timeout(60)
    shown = {title: ask(handler, title) for title in CASES}
    shown["by hand"] = by_hand(channel)
    channel.shutdown()
    shown["after shutdown"] = refused(handler)
    sys.stdout.write(json.dumps(shown))


def ask(handler: HumanActionHandler, title: str) -> dict[str, Any]:
    transaction = {"action_type": "transaction", "amount": Decimal("2500.00"), "count": 3, "note": "invest"}
    heard: list[str] = []
    action = handler.request_action(
        title=title,
        description=f"Transaction of ${transaction['amount']} requires approval",
        agent_id="financial_advisor",
        metadata=transaction,
        callbacks=[lambda done: heard.append(done.status.value)],
    )
    status = handler.wait_for_action(action)
    run = apply_modifications(transaction, action.response_data) if status == ActionStatus.MODIFIED else None
    return {
        "status": status.value,
        "comments": action.comments,
        "response_data": action.response_data,
        "callbacks": heard,
        "caller's keys": sorted(transaction),
        "run": None
        if run is None
        else [f"{type(run[key]).__name__} {run[key]}" for key in ("amount", "count")],
        "id": action.request_id,
    }


def by_hand(channel: KeyturnChannel) -> dict[str, Any]:
    alert = SafetyAlert("approve", "An alert with a real severity", AlertSeverity.CRITICAL, metadata={"n": 1})
    return {"sent": channel.send_notification(alert), "id": alert.metadata["request_id"]}


def refused(handler: HumanActionHandler) -> str:
    try:
        action: HumanAction = handler.request_action(title="approve", description="Too late")
    except RuntimeError as error:
        return str(error)
    return action.request_id


main(*sys.argv[1:])
