"""Signed receipts: proof that this exact call was approved, checkable without asking Keyturn.

A receipt is a compact JWS signed with Ed25519. The private key lives in the key directory,
0600, and is made at the first start; its public half is in the JWKS.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
from joserfc import jws
from joserfc.jwk import OKPKey

from bot.core.models import ApprovalRequest
from bot.services.keys import private_file

LIFETIME = timedelta(minutes=5)
"""From the claim to the receipt's `exp`."""

_TYPE = "keyturn-receipt+jwt"


class Receipts:
    """Signs receipts with one key.

    Args:
        issuer: `KEYTURN_PUBLIC_URL`, the `iss` claim.
    """

    def __init__(self, key: OKPKey, issuer: str) -> None:
        self._key = key
        self._issuer = issuer
        self._kid = key.thumbprint()

    @classmethod
    def open(cls, key_dir: Path, issuer: str) -> "Receipts":
        """Read the signing key of `key_dir`, or make it.

        Raises:
            OSError: the directory cannot be written, or the key cannot be read.
        """
        pem = private_file(
            key_dir / "receipts.pem", lambda: OKPKey.generate_key("Ed25519").as_pem(private=True)
        )
        return cls(OKPKey.import_key(pem), issuer)

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
        header = {"alg": "EdDSA", "kid": self._kid, "typ": _TYPE}
        payload = orjson.dumps(claims)
        token = jws.serialize_compact(header, payload, self._key, algorithms=["EdDSA"])
        return token, datetime.fromtimestamp(expires, tz=UTC)

    def jwks(self) -> dict[str, Any]:
        """The public key, as `/.well-known/jwks.json` serves it."""
        public = self._key.as_dict(private=False)
        return {"keys": [{**public, "kid": self._kid, "use": "sig", "alg": "EdDSA"}]}
