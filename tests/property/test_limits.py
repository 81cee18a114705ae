"""Limits hold whatever is asked and whenever: no window ever holds more than it may without a person."""

from datetime import timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from bot.core.models import Action, Effect
from bot.services.policy_replay import Asked, replay
from tests.factories import NOON
from tests.policies import HEAD, policy_set

HOUR = timedelta(hours=1)
FREE = HEAD + "auto_approve_threshold: high\nauto_reject_threshold: never\n"
LIMITED = FREE + "limits: [{name: l, action_type: transfer, per: 1h, count: 4, sum_of: amount, max: 100%s}]\n"

AMOUNTS = st.one_of(
    st.decimals(min_value=-120, max_value=120, places=2).map(str),
    st.integers(min_value=0, max_value=150),
    st.sampled_from(["1e3", "much", None, True]),
)
ASKED = st.lists(
    st.tuples(
        st.sampled_from(["a", "b"]),
        st.sampled_from(["transfer", "transfer", "payment"]),
        AMOUNTS,
        st.integers(min_value=0, max_value=2400).map(lambda seconds: timedelta(seconds=seconds)),
    ),
    max_size=30,
)


def history(script: list[tuple[str, str, object, timedelta]]) -> list[Asked]:
    """Actions with the time that passed before each."""
    asked, now = [], NOON
    for number, (agent, kind, amount, wait) in enumerate(script):
        now += wait
        asked.append(Asked(f"req_{number}", agent, Action(kind, {"amount": amount}), now))
    return asked


@given(ASKED, st.booleans())
def test_no_window_holds_more_than_its_limit(
    script: list[tuple[str, str, object, timedelta]], across: bool
) -> None:
    asked = history(script)
    policies = policy_set(LIMITED % (", across: agents" if across else ""))
    ran = [
        (one.at, one.agent, abs(Decimal(str(one.action.params["amount"]))))
        for one, ruled in zip(asked, replay(policies, asked), strict=True)
        if ruled.effect is Effect.APPROVE and one.action.type == "transfer"
    ]
    for end, agent, _ in ran:
        window = [amount for at, who, amount in ran if end - HOUR < at <= end and (across or who == agent)]
        assert len(window) <= 4
        assert sum(window) <= 100


@given(ASKED)
def test_a_limit_never_makes_anything_more_permissive(
    script: list[tuple[str, str, object, timedelta]],
) -> None:
    asked = history(script)
    free, limited = replay(policy_set(FREE), asked), replay(policy_set(LIMITED % ""), asked)
    for one, without, within in zip(asked, free, limited, strict=True):
        if without.effect is not Effect.APPROVE or one.action.type != "transfer":
            assert within == without
        else:
            assert within.effect in (Effect.APPROVE, Effect.REVIEW)
