"""Secrets in text: where each one stands, and of what kind it is.

Formats come from detect-secrets, and from a few patterns of ours beside them; all of them run in linear
time, whatever an agent sends. What stands for itself (a prefix, a form) is found anywhere; what only its
surroundings give away (a flag, a setting, a header) is a token that nothing could run.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

import re2

_SHORTEST = 6
_SHORT = 2000
_LOOK_MEMORY = 64 << 20
"""Bytes at most for the states of one look for all patterns; half of them hold every state it meets."""

_Pattern = tuple[Any, str, int]

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
        r"-----BEGIN [A-Z ]{0,20}PRIVATE KEY(?: BLOCK)?-----(?:\s|\\n)*"
        r"(?:[A-Za-z0-9+/]{16,}={0,2}(?:\s|\\n)+)*"
        r"(?:(?:[A-Za-z0-9+/]+={0,2}(?:\s|\\n)*)?-----END [A-Z ]{0,20}PRIVATE KEY(?: BLOCK)?-----"
        r"|[A-Za-z0-9+/]{16,}={0,2})",
        "private key",
    ),
    (r"\bgithub_pat_[A-Za-z0-9_]{22,}", "GitHub token"),
    (r"\bsk-(?:ant|proj|svcacct|admin|or)-[A-Za-z0-9_-]{16,}", "API key"),
    (r"\bAIza[A-Za-z0-9_-]{35}", "Google API key"),
    (r"\bya29\.[A-Za-z0-9_-]{20,}", "Google token"),
    (r"\bhf_[A-Za-z0-9]{30,64}", "Hugging Face token"),
    (r"\bGOCSPX-[A-Za-z0-9_-]{28}", "Google secret"),
    (r"\bhv[sbr]\.[A-Za-z0-9_-]{20,}", "Vault token"),
    (r"\bdo[opr]_v1_[a-f0-9]{64}", "DigitalOcean token"),
    (r"\bnpm_[A-Za-z0-9]{36}", "npm token"),
    (r"\bsq0atp-[A-Za-z0-9_-]{22}", "Square token"),
    (r"\b[A-Za-z0-9_~.-]{3}[0-9]Q~[A-Za-z0-9_~.-]{31,34}", "Azure secret"),
    (r"[?&]sig=([A-Za-z0-9+/%]{40,})", "signature"),
    (r"\bAGE-SECRET-KEY-1[A-Z0-9]{58}", "age key"),
    (
        r"\b(?:(?:gsk_|pplx-|r8_|xai-|ntn_|dp\.(?:pt|st)\.)[A-Za-z0-9]{36,}|(?:dapi|sbp_|rubygems_)[a-f0-9]{32,}"
        r"|(?:sntry[su]_|pscale_tkn_|HRKU-|figd_)[A-Za-z0-9_+/=-]{30,}|PMAK-[a-f0-9]{24}-[a-f0-9]{34})",
        "API key",
    ),
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
    (
        r"\b(?:(?:docker|podman)\s+login|redis-cli|sshpass)\s(?:[^\n|;&]*?\s)?-[pa]\s*[\"']?"
        r"([^\s\"'$()`;|&<>{}‹]{6,})",
        "password",
    ),
    (r"\b(?i:login)\s+[^\s]{1,100}\s+(?i:password)\s+([A-Za-z0-9+/=_.~!@#%^*-]{6,})", "password"),
    (r"(?i)\b(?:password|identified\s+by)\s+'([A-Za-z0-9+/=_.~!@#%^*-]{6,})'", "password"),
    (
        r"(?i)(?:\bcookie:\s*|\bcurl\s(?:[^\n|;&]*?\s)?(?:-b|--cookie)[ =][\"']?)"
        r"(?:[^=;\s\"']{1,64}=[^;\s\"']{0,15};\s*)*[^=;\s\"']{1,64}=([A-Za-z0-9+/=_.~%-]{16,})",
        "cookie",
    ),
    (r"\bmysql[a-z]*\s(?:[^\n|;&]*?\s)?-p([^\s\"'$()`;|&<>{}‹]{4,})", "password"),
    (r"(?i)\bbearer\s+([A-Za-z0-9._~+/-]{16,}={0,2})", "bearer token"),
    (r"(?i)\bbasic\s+([A-Za-z0-9+/]{16,}={0,2})", "password"),
    (
        r"(?i)(?:password|passwd|passphrase|pwd|secret|token|(?:api|app|application|access|private)[_-]?key)[a-z0-9_]*"
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
    "TelegramBotTokenDetector": (r"\b(?:bot)?\d{8,10}:[0-9A-Za-z_-]{35}\b",),
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


def any_in(text: bytes) -> bool:
    """A quick look at UTF-8 text: False means that there is none in it."""
    return _any().search(text) is not None


def _spans(text: str) -> Iterator[Found]:
    for pattern, kind, group in _patterns_in(text):
        for match in pattern.finditer(text):
            part = group if group and match.group(group) else 0
            if part and _tells(text[match.start() : match.start(part)], match.group(part)):
                continue
            yield Found(match.start(part), match.end(part), kind)


_OF_A_SECRET = re.compile(
    r"(?i:token|secret)(?i:izers?|ary)\W|\w*(?:_(?i:names?|types?|paths?|files?|urls?|uris?|policy|namespace|ttl)"
    r"|Names?|Types?|Paths?|Files?|U[Rr][Ll]s?|Policy|Namespace)\W"
)


def _tells(name: str, value: str) -> bool:
    """Whether a setting tells of a secret where or of what kind it is, or how many tokens there are."""
    return _OF_A_SECRET.match(name) is not None or (name[:6].casefold() == "tokens" and value.isdigit())


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
