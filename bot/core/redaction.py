"""Secrets in what is shown, logged and recorded: found, and replaced by their kind, length and a keyed hash.

The stored params stay whole, since the agent must get them back. Nothing but a token is ever hidden: what
a reviewer must see of a command, a path or a query cannot be dressed up as a secret.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from itertools import pairwise
from typing import Any

import re2

from bot.core.models import Action, ApprovalRequest, JsonObject
from bot.core.secret_patterns import any_in, secrets_in

MARK = "‹redacted "
"""How every mask begins."""

_MASK = re.compile(r"‹redacted [^·›]{1,60} · ([0-9]{1,9}) characters(?: · id [0-9a-f]{8})?›")

LONGEST = 512
"""Characters up to which the value of a secret-sounding key is hidden as a whole."""

_NEVER_WHOLE = frozenset({"command", "args", "path", "query", "url", "method"})
_SOUNDS = frozenset(
    [
        "password",
        "passwd",
        "passphrase",
        "pwd",
        "secret",
        "secrets",
        "token",
        "credential",
        "credentials",
        "authorization",
        "bearer",
        "apikey",
        "accesskey",
        "privatekey",
        "signingkey",
        "encryptionkey",
        "clientsecret",
        "cookie",
        "passcode",
    ]
)
_ENDS = ("password", "passwd", "passphrase", "secret", "token", "apikey")
"""Ends of words that run others together, such as `PGPASSWORD`."""

_ABOUT = frozenset(
    ["name", "names", "type", "types", "path", "file", "url", "uri", "policy", "namespace", "ttl"]
)
"""Last words of names that say which secret is meant, or where it is, as a reviewer must see."""

_KEYS = ("api", "app", "application", "access", "private", "signing", "encryption", "auth")
_PAIRS = frozenset(f"{word} key" for word in _KEYS)
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")


class Redactor:
    """Replaces secrets.

    Args:
        key: Makes masks of one secret equal here and unequal elsewhere. None leaves the hash out.
    """

    def __init__(self, key: bytes | None = None) -> None:
        self._key = key

    def text(self, text: str) -> str:
        """`text` with every secret in it masked."""
        parts: list[str] = []
        end = 0
        for found in secrets_in(text):
            parts += [text[end : found.start], self._mask(text[found.start : found.end], found.kind)]
            end = found.end
        return "".join([*parts, text[end:]]) if parts else text

    def value(self, value: Any, name: str = "") -> Any:
        """Parsed JSON with every secret masked; `name` is the key that it stands under."""
        if isinstance(value, str):
            return self._token(value) if _sounds_secret(name) and _one_token(value) else self.text(value)
        if isinstance(value, list | tuple):
            return [self.value(item, name) for item in value]
        if isinstance(value, Mapping):
            return {self.text(key): self.value(item, self._named(value, key)) for key, item in value.items()}
        return value

    def request(self, request: ApprovalRequest) -> ApprovalRequest:
        """The request as it may be shown: the same but for secrets in what people and agents wrote."""
        said = request.submission
        submission = replace(
            said,
            action=Action(said.action.type, self._object(said.action.params)),
            description=self.text(said.description),
            reason=self._optional(said.reason),
            preview=self._optional(said.preview),
            alternatives=tuple(
                replace(a, description=self.text(a.description), params=self._object(a.params))
                for a in said.alternatives
            ),
            rollback=self.value(said.rollback),
            metadata=None if said.metadata is None else self._object(said.metadata),
        )
        proposal, decision, run = request.proposal, request.decision, request.execution
        return replace(
            request,
            submission=submission,
            proposal=proposal and replace(proposal, params=self._object(proposal.params)),
            decision=decision
            and replace(
                decision,
                params=None if decision.params is None else self._object(decision.params),
                reason=self._optional(decision.reason),
            ),
            reviews=tuple(
                replace(review, reason=self._optional(review.reason)) for review in request.reviews
            ),
            execution=replace(
                run,
                error=self._optional(run.error),
                outcome=None if run.outcome is None else self._object(run.outcome),
            ),
            messages=tuple(replace(message, text=self.text(message.text)) for message in request.messages),
        )

    def _object(self, value: JsonObject) -> JsonObject:
        found: JsonObject = self.value(value)
        return found

    def _optional(self, text: str | None) -> str | None:
        return None if text is None else self.text(text)

    @staticmethod
    def _named(holder: Mapping[str, Any], key: str) -> str:
        """The name that says what a value is: for a setting's values, the setting's own."""
        if key in ("old_value", "new_value", "expected") and isinstance(holder.get("key"), str):
            return str(holder["key"])
        return key

    def _token(self, value: str) -> str:
        found = secrets_in(value)
        return self._mask(value, found[0].kind if found else "secret")

    def _mask(self, secret: str, kind: str) -> str:
        hashed = ""
        if self._key is not None:
            digest = hmac.new(self._key, secret.encode("utf-8", "surrogatepass"), hashlib.sha256)
            hashed = f" · id {digest.hexdigest()[:8]}"
        return f"{MARK}{kind} · {len(secret)} characters{hashed}›"


class _Own:
    """The redactor of this process."""

    redactor = Redactor()


def use(redactor: Redactor) -> None:
    """Take this redactor from now on. Until then masks lack the hash, and hide as much."""
    _Own.redactor = redactor


def own() -> Redactor:
    """The redactor of this process. Cards, forms, logs and the audit all use it, so that masks agree."""
    return _Own.redactor


def may_hold_secrets(text: bytes) -> bool:
    """A quick look at JSON text: False means that `Redactor.value` would change nothing in it."""
    return any_in(text) or _any_key().search(text) is not None


def may_be(masked: str, text: str) -> bool:
    """Whether `masked` could be `text` with secrets masked, by whatever patterns and key."""
    if MARK not in masked:
        return masked == text
    shown, lengths = _MASK.split(masked)[::2], _MASK.findall(masked)
    pattern = "".join(
        re.escape(part) + (f".{{{lengths[place]}}}" if place < len(lengths) else "")
        for place, part in enumerate(shown)
    )
    return re.fullmatch(pattern, text, re.DOTALL) is not None


def hidden(text: str) -> bool:
    """Whether a secret is in `text`, shown or masked already."""
    return MARK.strip() in text or bool(secrets_in(text))


def _sounds_secret(name: str) -> bool:
    if name.casefold() in _NEVER_WHOLE:
        return False
    words = [word.casefold() for word in _WORDS.findall(name)]
    if words[-1:] and words[-1] in _ABOUT:
        return False
    pairs = {f"{one} {two}" for one, two in pairwise(words)}
    return bool(
        _SOUNDS & set(words)
        or _PAIRS & pairs
        or words[-1:] == ["pass"]
        or any(word.endswith(_ENDS) for word in words)
    )


def _one_token(value: str) -> bool:
    return 0 < len(value) <= LONGEST and not any(character.isspace() for character in value)


@cache
def _any_key() -> Any:
    return re2.compile(
        r'(?i)"[^"]*(?:pass|pwd|secret|token|credential|authorization|bearer|cookie|key)[^"]*":'
    )
