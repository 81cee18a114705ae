"""Who somebody is, read from what Slack says about them."""

import pytest

from bot.slack.directory import person_from
from bot.slack.interaction import parse


@pytest.mark.parametrize("flag", ["is_restricted", "is_ultra_restricted", "is_stranger"])
def test_whoever_is_no_member_is_a_guest(flag: str) -> None:
    assert person_from({"id": "U1", flag: True}, team_id="T0").is_guest


def test_somebody_without_any_name_is_called_by_the_id() -> None:
    person = person_from({"id": "U1"}, team_id="T0")
    assert (person.name, person.team_id, person.is_guest, person.is_bot) == ("U1", "T0", False, False)


def test_faults_find_their_place_by_the_answers_where_the_blocks_are_left_out() -> None:
    typed = {"reason": {"value": {"value": ""}}, "target": {"value": {"value": "x"}}}
    view = {"callback_id": "request.approve", "state": {"values": typed}}
    assert parse({"type": "view_submission", "view": view}).view_blocks == ("reason", "target")
