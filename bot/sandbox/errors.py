"""The two ways the sandbox says no: to the bot in Slack's codes, to a person in a sentence."""

from collections.abc import Sequence


class SlackError(Exception):
    """A Web API call Slack would refuse: `{"ok": false, "error": code}` with HTTP 200.

    Attributes:
        code: Slack's error code, such as `channel_not_found`.
        messages: Reasons without their `[ERROR] ` prefix, shown in `response_metadata.messages`.
    """

    def __init__(self, code: str, messages: Sequence[str] = ()) -> None:
        super().__init__(code, *messages)
        self.code = code
        self.messages = tuple(messages)


class RateLimited(SlackError):
    """Too many calls: HTTP 429 with `Retry-After: retry_after` (whole seconds)."""

    def __init__(self, retry_after: int) -> None:
        super().__init__("ratelimited")
        self.retry_after = retry_after


class PersonError(Exception):
    """Something a person did that Slack's own client would not let them do.

    Attributes:
        code: A stable word for programs.
        message: One sentence for the person.
        errors: What to correct, by block id, when a form was not complete.
    """

    def __init__(self, code: str, message: str, errors: dict[str, str] | None = None) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.errors = errors or {}
