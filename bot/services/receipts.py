"""Signed receipts: proof that this exact call was approved, checkable without asking Keyturn.

A receipt is a compact JWS signed with Ed25519. The private key lives in the key directory,
0600, and is made at the first start; its public half is in the JWKS.
"""

import base64
import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import OKPAlgorithm

from bot.core.models import ApprovalRequest
from bot.services.keys import ed25519_key

LIFETIME = timedelta(minutes=5)
"""From the claim to the receipt's `exp`."""

_TYPE = "keyturn-receipt+jwt"


class Receipts:
    """Signs receipts with one key.

    Args:
        issuer: `KEYTURN_PUBLIC_URL`, the `iss` claim.
    """

    def __init__(self, key: Ed25519PrivateKey, issuer: str) -> None:
        self._key = key
        self._issuer = issuer
        self._public: dict[str, Any] = OKPAlgorithm.to_jwk(key.public_key(), as_dict=True)
        self._kid = _thumbprint(self._public)

    @classmethod
    def open(cls, key_dir: Path, issuer: str) -> "Receipts":
        """Read the signing key of `key_dir`, or make it.

        Raises:
            OSError: the directory cannot be written, or the key cannot be read.
            ValueError: the file holds no Ed25519 key.
        """
        return cls(ed25519_key(key_dir / "receipts.pem"), issuer)

    def sign(
        self, request: ApprovalRequest, *, id: str, audience: str | None, now: datetime
    ) -> tuple[str, datetime]:
        """The receipt of a claim made at `now`, and when it expires.

        Args:
            request: Approved or modified, so that it has a decision.
            id: The receipt's `jti`.
        """
        decision = request.decision
        assert decision is not None, "only a decided request is claimed"
        issued = int(now.timestamp())
        expires = issued + int(LIFETIME.total_seconds())
        claims: dict[str, Any] = {
            "iss": self._issuer,
            "sub": request.agent,
            "jti": id,
            "iat": issued,
            "exp": expires,
            "request_id": request.id,
            "type": request.action.type,
            "digest": decision.digest,
            "status": request.status.value,
            "automatic": request.automatic,
            "reviewers": [reviewer.id for reviewer in decision.by],
        }
        if audience is not None:
            claims["aud"] = audience
        if decision.preview_digest is not None:
            claims["preview_digest"] = decision.preview_digest
        header = {"kid": self._kid, "typ": _TYPE}
        token = jwt.encode(claims, self._key, algorithm="EdDSA", headers=header)
        return token, datetime.fromtimestamp(expires, tz=UTC)

    def jwks(self) -> dict[str, Any]:
        """The public key, as `/.well-known/jwks.json` serves it."""
        return {"keys": [{**self._public, "kid": self._kid, "use": "sig", "alg": "EdDSA"}]}


def _thumbprint(public: dict[str, Any]) -> str:
    """RFC 7638: the hash of the key's required members in canonical order."""
    members = {name: public[name] for name in ("crv", "kty", "x")}
    digest = hashlib.sha256(json.dumps(members, separators=(",", ":")).encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
