"""Every person's open modals and App Home, with Slack's rules for views.

A stack holds at most three modals; a view is changed only by who names its latest `hash`, when one is named.
"""

import secrets
from collections.abc import Callable

from bot.sandbox.errors import SlackError
from bot.sandbox.forms import with_ids
from bot.sandbox.model import Json, Modal

MAX_STACK = 3


class ViewStacks:
    """Modals by id and by person, homes by person."""

    def __init__(self, clock: Callable[[], float], changed: Callable[[], None]) -> None:
        self._clock = clock
        self._changed = changed
        self._by_id: dict[str, Modal] = {}
        self._by_external_id: dict[str, str] = {}
        self.stacks: dict[str, list[Modal]] = {}
        self.homes: dict[str, Modal] = {}

    def get(self, view_id: str) -> Modal | None:
        """The open modal or home with this id."""
        return self._by_id.get(view_id)

    def find(self, view_id: str | None, external_id: str | None) -> Modal:
        """The open view with one of these ids, or SlackError `not_found`."""
        found = self._by_id.get(view_id or self._by_external_id.get(external_id or "", ""))
        if found is None:
            raise SlackError("not_found")
        return found

    def open(self, user: str, view: Json) -> Modal:
        """Show a modal on its own; what the person had open before is gone."""
        self.clear(user)
        return self._show(user, view, previous=None)

    def push(self, user: str, view: Json) -> Modal:
        """Show a modal above the person's others, or SlackError `not_found`, `push_limit_reached`."""
        stack = self.stacks.get(user)
        if not stack:
            raise SlackError("not_found")
        if len(stack) >= MAX_STACK:
            raise SlackError("push_limit_reached")
        return self._show(user, view, previous=stack[-1])

    def update(self, modal: Modal, view: Json, expected_hash: str | None = None) -> Modal:
        """Replace what a view shows; with `expected_hash` only if nobody did since (`hash_conflict`)."""
        if expected_hash and expected_hash != modal.hash:
            raise SlackError("hash_conflict")
        self._claim_external_id(modal.id, view)
        modal.view = with_ids(view)
        modal.hash = self._new_hash()
        modal.errors = {}
        self._changed()
        return modal

    def publish(self, user: str, view: Json, expected_hash: str | None = None) -> Modal:
        """Show a person's App Home. The view keeps its id across publishes."""
        home = self.homes.get(user)
        if home is not None:
            return self.update(home, view, expected_hash)
        if expected_hash:
            raise SlackError("hash_conflict")
        home = self._new(user, view, previous=None)
        self.homes[user] = home
        self._changed()
        return home

    def refuse(self, modal: Modal, errors: dict[str, str]) -> None:
        """Show errors beside the blocks of a modal."""
        modal.errors = dict(errors)
        self._changed()

    def close(self, modal: Modal) -> None:
        """Take one modal off its stack; the one below shows again."""
        stack = self.stacks.get(modal.user, [])
        if modal in stack:
            stack.remove(modal)
        self._forget(modal)
        self._changed()

    def clear(self, user: str) -> list[Modal]:
        """Take every modal of a person away, top first; returns them."""
        closed = list(reversed(self.stacks.pop(user, [])))
        for modal in closed:
            self._forget(modal)
        if closed:
            self._changed()
        return closed

    def _show(self, user: str, view: Json, previous: Modal | None) -> Modal:
        modal = self._new(user, view, previous)
        self.stacks.setdefault(user, []).append(modal)
        self._changed()
        return modal

    def _new(self, user: str, view: Json, previous: Modal | None) -> Modal:
        view_id = "V" + secrets.token_hex(5).upper()
        self._claim_external_id(view_id, view)
        modal = Modal(view_id, user, with_ids(view), self._new_hash(), root_view_id=view_id)
        if previous:
            modal.root_view_id, modal.previous_view_id = previous.root_view_id, previous.id
        self._by_id[view_id] = modal
        return modal

    def _claim_external_id(self, view_id: str, view: Json) -> None:
        external_id = view.get("external_id")
        if not external_id:
            return
        if self._by_external_id.get(external_id, view_id) != view_id:
            raise SlackError("duplicate_external_id")
        self._by_external_id[external_id] = view_id

    def _forget(self, modal: Modal) -> None:
        self._by_id.pop(modal.id, None)
        external_id = modal.view.get("external_id")
        if external_id and self._by_external_id.get(external_id) == modal.id:
            del self._by_external_id[external_id]

    def _new_hash(self) -> str:
        return f"{int(self._clock())}.{secrets.token_hex(4)}"
