"""Receipts as a tool server sees them: checked offline, by a library that is not the one that signs."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from joserfc import jws
from joserfc.errors import BadSignatureError
from joserfc.jwk import KeySet

from bot.core import jsontext
from bot.core.times import read_rfc3339
from tests.integration.http_face import ALLOWED, ASK, PUBLIC_URL, World, served

# RFC 9864 would have the curve in the name; older verifiers know only this one.
pytestmark = pytest.mark.filterwarnings("ignore:EdDSA is deprecated")

PAGE = (Path(__file__).parents[2] / "docs" / "http.md").read_text("utf-8")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with served(tmp_path) as world:
        yield world


async def claimed(world: World, request: dict[str, Any], **body: Any) -> dict[str, Any]:
    answer = await world.client.post(
        f"/v1/requests/{request['id']}/claim", json={"digest": request["digest"], **body}
    )
    assert answer.status_code == 200, answer.text
    claim: dict[str, Any] = answer.json()
    return claim


async def asked(world: World, body: dict[str, Any]) -> dict[str, Any]:
    request: dict[str, Any] = (await world.client.post("/v1/requests", json=body)).json()
    return request


async def opened(world: World, receipt: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims of a receipt that is genuine by the published keys."""
    keys = KeySet.import_key_set((await world.client.get("/.well-known/jwks.json")).json())
    found = jws.deserialize_compact(receipt, keys, algorithms=["EdDSA"])
    return dict(found.headers()), jsontext.loads(found.payload)


async def test_a_receipt_says_what_was_approved_and_nothing_else(world: World) -> None:
    request = await asked(world, {**ASK, "preview": "+1"})
    await world.approve(request["id"])
    claim = await claimed(world, request, preview_digest=request["preview_digest"], audience="billing")
    header, claims = await opened(world, claim["receipt"])
    assert (header.pop("kid"), header) == (
        (await world.client.get("/.well-known/jwks.json")).json()["keys"][0]["kid"],
        {"alg": "EdDSA", "typ": "keyturn-receipt+jwt"},
    )
    assert claims.pop("jti")
    issued, expires = claims.pop("iat"), claims.pop("exp")
    assert expires - issued == 300
    assert read_rfc3339(claim["expires_at"]).timestamp() == expires
    assert abs(issued - world.clock.now().timestamp()) < 60
    assert claims == {
        "iss": PUBLIC_URL,
        "sub": "builder",
        "aud": "billing",
        "request_id": request["id"],
        "type": "custom_step",
        "digest": request["digest"],
        "preview_digest": request["preview_digest"],
        "status": "approved",
        "automatic": False,
        "reviewers": ["U0ANA0001"],
    }


async def test_what_does_not_apply_is_left_out(world: World) -> None:
    claim = await claimed(world, await asked(world, ALLOWED))
    _, claims = await opened(world, claim["receipt"])
    assert "aud" not in claims
    assert "preview_digest" not in claims
    assert (claims["automatic"], claims["reviewers"]) == (True, [])


async def test_a_receipt_that_was_changed_is_not_genuine(world: World) -> None:
    header, payload, signature = (await claimed(world, await asked(world, ALLOWED)))["receipt"].split(".")
    other = (await claimed(world, await asked(world, ALLOWED)))["receipt"].split(".")[1]
    assert payload != other
    with pytest.raises(BadSignatureError):
        await opened(world, f"{header}.{other}.{signature}")


async def test_the_check_that_the_docs_show_holds(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    code = re.search(r"<!-- run by the tests -->\n```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert code is not None
    known = (await world.client.get("/.well-known/jwks.json")).json()
    monkeypatch.setattr(jwt.PyJWKClient, "fetch_data", lambda _self: known)
    page: dict[str, Any] = {"keyturn_url": PUBLIC_URL}
    exec(code[1], page)
    request = await asked(world, ALLOWED)
    mine = (await claimed(world, request, audience="billing"))["receipt"]
    assert page["check"](mine, request["digest"])["request_id"] == request["id"]
    with pytest.raises(ValueError, match="used"):
        page["check"](mine, request["digest"])
    again = (await claimed(world, await asked(world, ALLOWED), audience="billing"))["receipt"]
    with pytest.raises(ValueError, match="another call"):
        page["check"](again, "sha256:" + "0" * 64)
    for audience in ({"audience": "shipping"}, {}):
        other = (await claimed(world, await asked(world, ALLOWED), **audience))["receipt"]
        with pytest.raises(jwt.InvalidTokenError):
            page["check"](other, request["digest"])
