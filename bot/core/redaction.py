"""Secrets in what is shown, logged and recorded: found, and replaced by their kind, length and a keyed hash.

The stored params stay whole, since the agent must get them back. Formats come from detect-secrets, and
from a few patterns of ours beside them; all of them run in linear time, whatever an agent sends. Nothing
but a token is ever hidden: what a reviewer must see of a command, a path or a query cannot be dressed
up as a secret.
"""

import hashlib
import hmac
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from itertools import pairwise
from typing import Any

import re2

from bot.core.models import Action, ApprovalRequest, JsonObject

MARK = "‹redacted "
"""How every mask begins."""

_MASK = re.compile(r"‹redacted [^·›]{1,60} · ([0-9]{1,9}) characters(?: · id [0-9a-f]{8})?›")

LONGEST = 512
"""Characters up to which the value of a secret-sounding key is hidden as a whole."""

_NEVER_WHOLE = frozenset({"command", "args", "path", "query", "url", "method"})
_SHORTEST = 6
_SHORT = 2000
_LOOK_MEMORY = 64 << 20
"""Bytes at most for the states of one look for all patterns; half of them hold every state it meets."""

_Pattern = tuple[Any, str, int]

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

_PAIRS = frozenset({"api key", "access key", "private key", "signing key", "encryption key", "auth key"})
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")

# Module and class of each detector. Those by entropy alone are left out: they would hide digests.
_DETECTORS = (
    ("artifactory", "ArtifactoryDetector", "Artifactory credentials"),
    ("aws", "AWSKeyDetector", "AWS key"),
    ("azure_storage_key", "AzureStorageKeyDetector", "Azure storage key"),
    ("basic_auth", "BasicAuthDetector", "password"),
    ("discord", "DiscordBotTokenDetector", "Discord token"),
    ("github_token", "GitHubTokenDetector", "GitHub token"),
    ("gitlab_token", "GitLabTokenDetector", "GitLab token"),
    ("jwt", "JwtTokenDetector", "JSON Web Token"),
    ("mailchimp", "MailchimpDetector", "Mailchimp key"),
    ("npm", "NpmDetector", "npm token"),
    ("openai", "OpenAIDetector", "OpenAI key"),
    ("pypi_token", "PypiTokenDetector", "PyPI token"),
    ("sendgrid", "SendGridDetector", "SendGrid key"),
    ("slack", "SlackDetector", "Slack token"),
    ("square_oauth", "SquareOAuthDetector", "Square secret"),
    ("stripe", "StripeDetector", "Stripe key"),
    ("telegram_token", "TelegramBotTokenDetector", "Telegram token"),
    ("twilio", "TwilioKeyDetector", "Twilio key"),
)
_OURS = (
    # Only base64 after the first line, so that nothing that could run hides there; the end may be cut off.
    (
        r"-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----(?:\s|\\n)*(?:[A-Za-z0-9+/]{16,}={0,2}(?:\s|\\n)+)*"
        r"(?:(?:[A-Za-z0-9+/]+={0,2}(?:\s|\\n)*)?-----END [A-Z ]{0,20}PRIVATE KEY-----"
        r"|[A-Za-z0-9+/]{16,}={0,2})",
        "private key",
    ),
    (r"\bgithub_pat_[A-Za-z0-9_]{22,}", "GitHub token"),
    (r"\bsk-(?:ant|proj|svcacct|admin|or)-[A-Za-z0-9_-]{16,}", "API key"),
    (r"\bAIza[A-Za-z0-9_-]{35}", "Google API key"),
    (r"\bya29\.[A-Za-z0-9_-]{20,}", "Google token"),
    (r"\bhf_[A-Za-z0-9]{30,64}", "Hugging Face token"),
    (r"\bhvs\.[A-Za-z0-9_-]{20,}", "Vault token"),
    (r"\bdop_v1_[a-f0-9]{64}", "DigitalOcean token"),
    (r"\bxapp-[0-9]-[A-Za-z0-9-]{10,}", "Slack token"),
    (r"\bwhsec_[A-Za-z0-9+/]{24,}={0,2}", "webhook secret"),
    (r"\b[sr]k_test_[A-Za-z0-9]{20,}", "Stripe key"),
    (r"\bglsa_[A-Za-z0-9]{32}_[A-Fa-f0-9]{8}", "Grafana token"),
    (r"\bATATT3[A-Za-z0-9_=-]{40,}", "Atlassian token"),
    (r"\bshp(?:at|ca|pa|ss)_[A-Fa-f0-9]{32}", "Shopify token"),
    (r"\bdckr_(?:pat|oat)_[A-Za-z0-9_-]{27,}", "Docker token"),
    (r"\blin_api_[A-Za-z0-9]{40}", "Linear key"),
    (r"\bNRAK-[A-Z0-9]{27}", "New Relic key"),
    (r"\bdiscord(?:app)?\.com/api/webhooks/[0-9]{17,20}/([A-Za-z0-9_-]{60,})", "Discord webhook"),
    (r"\bkt_[A-Za-z0-9_-]{43}", "Keyturn token"),
    # Flags of commands. What begins like a path, a flag or a variable is left to be seen.
    (
        r"(?i)\s--?(?:password|passwd|passphrase|secret|token|(?:api|access|private|auth)[_-]?(?:key|token))\s+"
        r"[\"']?([A-Za-z0-9+=_!@#%^*][A-Za-z0-9+/=_.~!@#%^*-]{5,})",
        "secret",
    ),
    (
        r"\b(?:curl|wget|https?)\s[^\n|;&]*?(?:-u|--user)[ =]?[\"']?[A-Za-z0-9._@+-]+:"
        r"([^\s\"'$()`;|&<>{}‹]{4,})",
        "password",
    ),
    (r"\bmysql[a-z]*\s[^\n|;&]*?\s-p([^\s\"'$()`;|&<>{}‹]{4,})", "password"),
    (r"(?i)\bbearer\s+([A-Za-z0-9._~+/-]{16,}={0,2})", "bearer token"),
    (r"(?i)\bbasic\s+([A-Za-z0-9+/]{16,}={0,2})", "password"),
    (
        r"(?i)(?:password|passwd|passphrase|pwd|secret|token|(?:api|access|private)[_-]?key)[a-z0-9_]*"
        r"\\?[\"']?\s*[=:]\s*\\?[\"']?([A-Za-z0-9+/=_.~!@#%^*-]{6,})",
        "secret",
    ),
)
# Some of the library's patterns need more than linear time, or are anchored to a whole line.
_INSTEAD = {
    "JwtTokenDetector": (r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]+)?",),
    "GitLabTokenDetector": (
        r"\bgl(?:pat|dt|ft|soat|rt|cbt|imt|ptt|agent|oas)-[A-Za-z0-9_-]{20,}",
        r"\bGR1348941[A-Za-z0-9_-]{20,}",
    ),
    "TelegramBotTokenDetector": (r"\b\d{8,10}:[0-9A-Za-z_-]{35}\b",),
    # More of a password than the library's allows, but nothing with which a shell would run something.
    "BasicAuthDetector": (
        r"://[^:/?#\[\]@\s{}$()`;|&<>'\"]*:((?:[^/?#\[\]@\s{}$()`;|&<>'\"]|\$[A-Za-z0-9_])+)@",
    ),
}


@dataclass(frozen=True, slots=True)
class Found:
    """One secret in a text."""

    start: int
    end: int
    kind: str


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


def secrets_in(text: str) -> list[Found]:
    """Every secret in `text`, in order, none inside another."""
    if len(text) < _SHORTEST:
        return []
    found = sorted(_spans(text), key=lambda f: (f.start, f.start - f.end))
    apart: list[Found] = []
    for one in found:
        if not apart or one.start >= apart[-1].end:
            apart.append(one)
    return apart


def may_hold_secrets(text: bytes) -> bool:
    """A quick look at JSON text: False means that `Redactor.value` would change nothing in it."""
    return _any().search(text) is not None or _any_key().search(text) is not None


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


def _spans(text: str) -> Iterator[Found]:
    for pattern, kind, group in _patterns_in(text):
        for match in pattern.finditer(text):
            part = group if group and match.group(group) else 0
            yield Found(match.start(part), match.end(part), kind)


def _sounds_secret(name: str) -> bool:
    if name.casefold() in _NEVER_WHOLE:
        return False
    words = [word.casefold() for word in _WORDS.findall(name)]
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
def _sources() -> tuple[tuple[str, str, int], ...]:
    """Patterns as text, the kind of what each finds, and the group that is secret; 0 for the whole.

    The library's are read at the first use. It has groups around alternatives too, so only where the
    secret alone is one is a group taken.
    """
    found = [(source, kind, 1 if _OWN_GROUP.search(source) else 0) for source, kind in _OURS]
    for module, name, kind in _DETECTORS:
        detector = getattr(import_module(f"detect_secrets.plugins.{module}"), name)
        plain = [("(?i)" if p.flags & re.IGNORECASE else "") + p.pattern for p in detector.denylist]
        grouped = name in ("AWSKeyDetector", "BasicAuthDetector")
        for source in _INSTEAD.get(name, plain):
            found.append((source, kind, 1 if grouped and _OWN_GROUP.search(source) else 0))
    return tuple(found)


_OWN_GROUP = re.compile(r"(?<!\\)\((?!\?)")


@cache
def _patterns() -> tuple[_Pattern, ...]:
    return tuple((re2.compile(source), kind, group) for source, kind, group in _sources())


@cache
def _any() -> Any:
    """All patterns in one: nearly every text holds nothing, and one look says so."""
    return re2.compile("|".join(f"(?:{source})" for source, *_ in _sources()))


def _patterns_in(text: str) -> Sequence[_Pattern]:
    """The patterns that find something in `text`, and perhaps others.

    Fifty looks for the one pattern of a short text would be forty-nine too many: one look names it. A long
    text is worth them all, since that one look is slow where much is found.
    """
    if len(text) <= _SHORT and (places := _named_in(text)):
        return [_patterns()[place] for place in places]
    return _patterns() if _any().search(text) else ()


def _named_in(text: str) -> list[int] | None:
    """The places of the patterns in a text; None for none, and when the look ran out of its memory."""
    found: list[int] | None = _set().Match(text)
    return found


@cache
def _set() -> Any:
    options = re2.Options()
    options.max_mem = _LOOK_MEMORY
    patterns = re2.Set.SearchSet(options)
    for source, *_ in _sources():
        patterns.Add(source)
    patterns.Compile()
    return patterns


@cache
def _any_key() -> Any:
    return re2.compile(
        r'(?i)"[^"]*(?:pass|pwd|secret|token|credential|authorization|bearer|cookie|key)[^"]*":'
    )
