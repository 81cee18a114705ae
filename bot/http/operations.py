"""For whoever runs Keyturn: is it alive, can it decide, how is it doing; and the receipts' keys.

None of these needs a token, and none says anything about a request.
"""

from datetime import timedelta
from decimal import Decimal

from starlette.requests import Request
from starlette.responses import Response

from bot.core.times import optional_rfc3339
from bot.http.face import Face, json_response
from bot.http.metrics import METRICS_TYPE


def _seconds(duration: timedelta) -> Decimal:
    return Decimal(duration // timedelta(milliseconds=1)) / 1000


class Operations:
    """The handlers of `/healthz`, `/readyz`, `/metrics` and `/.well-known/jwks.json`."""

    def __init__(self, face: Face) -> None:
        self._services = face.services

    async def healthz(self, _call: Request) -> Response:
        """The process is alive and its loop turns."""
        return json_response({"status": "alive"})

    async def readyz(self, _call: Request) -> Response:
        """Whether Keyturn is able to decide: 200, or 503 with the same body saying what is wrong."""
        facts = await self._services.facts()
        pulses = self._services.health.pulses()
        lateness = self._services.health.lateness()
        ready = facts.database_ok and all(pulse.healthy for pulse in pulses)
        body = {
            "status": "ready" if ready else "not_ready",
            "database": {
                "version": facts.database,
                "ok": facts.database_ok,
                "warning": facts.database_warning,
            },
            "policies": {"version": facts.policies, "ok": facts.policies_ok},
            "loops": {
                pulse.name: {"last_good_at": optional_rfc3339(pulse.last_good_at), "ok": pulse.healthy}
                for pulse in pulses
            },
            "lateness": {
                "overdue_seconds": _seconds(facts.overdue),
                "latest_seconds": _seconds(lateness.latest),
                "worst_seconds": _seconds(lateness.worst),
            },
            "sandbox": facts.sandbox,
        }
        return json_response(
            body, status=200 if ready else 503, headers=None if ready else {"Retry-After": "5"}
        )

    async def metrics(self, _call: Request) -> Response:
        """Prometheus metrics."""
        return Response(await self._services.metrics.text(), media_type=METRICS_TYPE)

    async def jwks(self, _call: Request) -> Response:
        """The public keys that receipts are signed with."""
        return json_response(self._services.receipts.jwks(), headers={"Cache-Control": "public, max-age=300"})
