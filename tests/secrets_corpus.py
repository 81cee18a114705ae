"""Secrets that look real, put together when asked for, so that no scanner takes this file for a leak."""

import base64
import json
import random
import string

_CHANCE = random.Random(20261122)


def _of(alphabet: str, length: int) -> str:
    return "".join(_CHANCE.choice(alphabet) for _ in range(length))


_WORD = string.ascii_letters + string.digits
_UPPER = string.ascii_uppercase + string.digits
_HEX = "0123456789abcdef"


def _jwt() -> str:
    parts = ({"alg": "HS256", "typ": "JWT"}, {"sub": "1234567890", "admin": True})
    coded = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts]
    return ".".join([*coded, _of(_WORD, 43)])


def _pem(kind: str) -> str:
    name = f"{kind}PRIVATE KEY-----"
    lines = [_of(_WORD, 64) for _ in range(6)]
    return "\n".join([f"-----BEGIN {name}", *lines, _of(_WORD, 22) + "==", f"-----END {name}"])


def anywhere() -> dict[str, str]:
    """Secrets that are found in any text, by what they are."""
    return {
        "aws key": "AKIA" + _of(_UPPER, 16),
        "aws session key": "ASIA" + _of(_UPPER, 16),
        "github token": "ghp_" + _of(_WORD, 36),
        "github app token": "ghs_" + _of(_WORD, 36),
        "github fine token": "github_pat_" + _of(_WORD, 22) + "_" + _of(_WORD, 59),
        "gitlab token": "glpat-" + _of(_WORD, 20),
        "slack bot token": "-".join(("xoxb", _of(string.digits, 12), _of(string.digits, 12), _of(_WORD, 24))),
        "slack app token": "-".join(
            ("xapp", "1", "A" + _of(_UPPER, 10), _of(string.digits, 13), _of(_HEX, 64))
        ),
        "stripe key": "sk_live_" + _of(_WORD, 24),
        "anthropic key": "sk-ant-api03-" + _of(_WORD, 80),
        "openai key": "sk-proj-" + _of(_WORD, 48),
        "google key": "AIza" + _of(_WORD, 35),
        "google token": "ya29." + _of(_WORD, 60),
        "hugging face token": "hf_" + _of(_WORD, 34),
        "vault token": "hvs." + _of(_WORD, 40),
        "digitalocean token": "dop_v1_" + _of(_HEX, 64),
        "sendgrid key": "SG." + _of(_WORD, 22) + "." + _of(_WORD, 43),
        "mailchimp key": _of(_HEX, 32) + "-us6",
        "npm token": "//registry.npmjs.org/:_authToken=npm_" + _of(_WORD, 36),
        "pypi token": "pypi-AgEIcHlwaS5vcmc" + _of(_WORD, 80),
        "json web token": _jwt(),
        "stripe test key": "sk_test_" + _of(_WORD, 24),
        "grafana token": "glsa_" + _of(_WORD, 32) + "_" + _of(_HEX, 8),
        "atlassian token": "ATATT3xFfGF0" + _of(_WORD, 170),
        "shopify token": "shpat_" + _of(_HEX, 32),
        "docker token": "dckr_pat_" + _of(_WORD, 27),
        "linear key": "lin_api_" + _of(_WORD, 40),
        "new relic key": "NRAK-" + _of(_UPPER, 27),
        "keyturn token": "kt_" + _of(_WORD, 43),
        "gitlab runner token": "GR1348941" + _of(_WORD, 20),
        "old openai key": "sk-" + _of(_WORD, 20) + "T3BlbkFJ" + _of(_WORD, 20),
        "test pypi token": "pypi-AgENdGVzdC5weXBpLm9yZw" + _of(_WORD, 80),
        "slack webhook": "/".join(
            ("https://hooks.slack.com/services", "T" + _of(_UPPER, 8), "B" + _of(_UPPER, 8), _of(_WORD, 24))
        ),
        "discord bot token": ".".join(("M" + _of(_WORD, 23), _of(_WORD, 6), _of(_WORD, 27))),
        "square secret": "sq0csp-" + _of(_WORD, 43),
        "telegram token": _of("123456789", 10) + ":AA" + _of(_WORD, 33),
        "twilio account": "AC" + _of(_HEX, 32),
        "twilio key": "SK" + _of(_HEX, 32),
        "webhook secret": "whsec_" + _of(_WORD, 32),
        "bare npm token": "npm_" + _of(_WORD, 36),
        "telegram address": "https://api.telegram.org/bot" + _of("123456789", 10) + ":AA" + _of(_WORD, 33),
        "square token": "sq0atp-" + _of(_WORD, 22),
        "digitalocean refresh token": "dor_v1_" + _of(_HEX, 64),
        "vault batch token": "hvb." + _of(_WORD, 100),
        "google secret": "GOCSPX-" + _of(_WORD, 28),
        "azure secret": _of(_WORD, 3) + "8Q~" + _of(_WORD, 34),
        "age key": "AGE-SECRET-KEY-1" + _of(_UPPER, 58),
        "groq key": "gsk_" + _of(_WORD, 52),
        "databricks token": "dapi" + _of(_HEX, 32),
        "figma token": "figd_" + _of(_WORD, 40),
        "postman key": "PMAK-" + _of(_HEX, 24) + "-" + _of(_HEX, 34),
        "rsa key": _pem("RSA "),
        "private key": _pem(""),
        "openssh key": _pem("OPENSSH "),
    }


def inside() -> dict[str, tuple[str, str]]:
    """Texts with a secret in them, and the part that must go."""
    word = _of(_WORD, 20)
    return {
        "password in an address": (f"postgres://app:{word}@db.internal:5432/shop", word),
        "odd password in an address": (f"postgres://app:p%40!,*$x{word}@db.internal:5432/shop", word),
        "api key header": (f"curl -H 'X-Api-Key: {word}' https://api.example.com", word),
        "flag": (f"deploy --api-key {word} --force", word),
        "user of curl": (f"curl -s -u admin:{word} https://api.example.com", word),
        "flag of mysql": (f"mysql -u root -p{word} shop", word),
        "bearer header": (f"curl -H 'Authorization: Bearer {word}' https://api.example.com", word),
        "basic header": (f"curl -H 'Authorization: Basic {word}' https://api.example.com", word),
        "environment": (f"PGPASSWORD={word} psql -h db shop", word),
        "aws secret": (f"export AWS_SECRET_ACCESS_KEY={_of(_WORD, 20)}{word}", word),
        "quoted aws secret": (f"aws prod key is '{_of(_WORD, 20)}{word}'", word),
        "azure storage key": (f"AccountName=shop;AccountKey={_of(_WORD, 66)}{word}==;TableEndpoint=x", word),
        "artifactory key": (f"jf rt ping AKC{word} --server shop", word),
        "artifactory password": (f"jf rt ping AP6{word} --server shop", word),
        "discord webhook": (
            f"https://discord.com/api/webhooks/{_of(string.digits, 18)}/{_of(_WORD, 48)}{word}",
            word,
        ),
        "first flag of mysql": (f"mysql -p{word} shop", word),
        "login of docker": (f"docker login -u me -p {word} registry.example.com", word),
        "password of redis-cli": (f"redis-cli -a {word} PING", word),
        "netrc": (f"machine git.example.com login me password {word}", word),
        "sql": (f"CREATE USER app WITH PASSWORD '{word}'", word),
        "mysql user": (f"CREATE USER app IDENTIFIED BY '{word}'", word),
        "cookie header": (f"curl -H 'Cookie: theme=dark; session={word}' https://example.com", word),
        "cookie of curl": (f"curl -b 'session={word}' https://example.com", word),
        "signed address": (f"https://a.blob.example.com/c?sv=2&sig={_of(_WORD, 24)}{word}%3D", word),
        "pgp key": (
            f"gpg: -----BEGIN PGP PRIVATE KEY BLOCK-----\n\n{_of(_WORD, 44)}{word}\n=abcd\n"
            "-----END PGP PRIVATE KEY BLOCK-----",
            word,
        ),
        "application key": (f"DD_APP_KEY={word}", word),
        "setting": (f'db_password = "{word}"', word),
        "json": (json.dumps({"client_secret": word}), word),
    }


def under_keys() -> dict[str, str]:
    """Values that are secret for the name they stand under."""
    names = (
        *("password", "db_password", "clientSecret", "api_key", "apiKey", "API-KEY", "auth_token"),
        *(
            "PGPASSWORD",
            "DB_PASS",
            "passcode",
            "authtoken",
            "privateKey",
            "X-Api-Key",
            "passphrase",
            "credentials",
            "cookie",
            "Authorization",
        ),
    )
    return {name: _of(_WORD, 18) for name in names}
