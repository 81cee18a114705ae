"""What people are told of a verification: whoever changed the database does not write the sentence."""

from bot.commands import audit
from bot.core.chain import Place, Problem
from bot.core.verifying import Verification
from bot.slack import audit_view

FORGED = Verification(
    3,
    Place(3, bytes(32)),
    None,
    Problem(3, "contradicted", "the grant <!channel> *whole*\n\x1b[2Kwhole: 3 rows differs"),
)


def test_what_stands_in_the_database_calls_nobody_and_formats_nothing_in_slack() -> None:
    told = audit_view.verdict(FORGED)
    assert told.startswith(":rotating_light: The audit is *not whole*. Row 3 (contradicted): the grant ")
    assert "&lt;!channel&gt;" in told
    assert "*whole*" not in told
    assert "\n" not in told


def test_what_stands_in_the_database_steers_no_terminal() -> None:
    told = audit._verdict(FORGED, compared=True, keyed=True)
    assert told.startswith("NOT WHOLE at row 3 (contradicted): the grant ")
    assert told.isprintable()
