"""Everything about a request, however long, as pages of the view `request.details`.

Nothing is cut here: what the card leaves out stands in full on one of the pages. A page holds at
most about 9,000 characters and 20 frames, which is well below Slack's limits for a view.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bot.core import redaction
from bot.core.deliveries import Told
from bot.core.describe import action_line, target
from bot.core.models import Action, ApprovalRequest, Status
from bot.core.visible import visible
from bot.slack import ids, wording
from bot.slack.card import confirmation
from bot.slack.exact import pretty, texts
from bot.slack.text import Block, context, leaf, line, plain, preformatted, rich, shortened, utc
from bot.slack.wording import Names

PIECE = 2900
"""Characters of one frame; Slack's text objects end at 3,000."""

_PAGE = 9000
"""Characters of one page."""

_FRAMES = 20
_NOBODY = Names()


@dataclass(frozen=True, slots=True)
class _Piece:
    title: str
    text: str
    alternative: int | None = None
    """Its number, on the last piece of an alternative that may still be taken."""


def details(
    request: ApprovalRequest, page: int = 0, *, story: Sequence[Told] = (), names: Names = _NOBODY
) -> Block:
    """One page of the details; a page beyond the last is the last.

    Args:
        story: How the waiting went: hops and deliveries, by the audit.
        names: What Slack said of the people who asked the agent something.
    """
    request = redaction.own().request(request)
    pages = _pages(request, story, names)
    number = min(max(page, 0), len(pages) - 1)
    blocks = [
        rich(line(leaf(shortened(wording.headline(request), 200), bold=True))),
        rich(line(leaf(shortened(action_line(wording.shown_action(request)), 3000)))),
        *(block for piece in pages[number] for block in _shown(request, piece)),
        *_paging(request, number, len(pages)),
    ]
    return {
        "type": "modal",
        "callback_id": ids.DETAILS,
        "private_metadata": ids.reference(request),
        "title": plain("Details", 24),
        "close": plain("Close", 24),
        "blocks": blocks,
    }


def _shown(request: ApprovalRequest, piece: _Piece) -> list[Block]:
    found = [rich(line(leaf(piece.title, bold=True)), preformatted(piece.text))]
    if piece.alternative is not None:
        found.append(_take_button(request, piece.alternative))
    return found


def _take_button(request: ApprovalRequest, number: int) -> Block:
    action = Action(request.action.type, request.submission.alternatives[number].params)
    button: Block = {
        "type": "button",
        "action_id": ids.ALTERNATIVE,
        "text": plain("Propose this instead", 75),
        "value": ids.reference(request),
        "accessibility_label": shortened(f"Propose instead: {action_line(action)}", 75),
    }
    if (dialog := confirmation(action, title="Propose this, and approve it as far as you may?")) is not None:
        button["confirm"] = dialog
    return {
        "type": "actions",
        "block_id": f"{ids.ALTERNATIVE_BLOCK}{number}",
        "elements": [button],
    }


def page_of(block_id: object) -> int:
    """The page a paging button leads to, from its block id; the first for anything else."""
    number = block_id.removeprefix(ids.PAGE_BLOCK) if isinstance(block_id, str) else ""
    return int(number) if number.isascii() and number.isdigit() and len(number) < 6 else 0


def _paging(request: ApprovalRequest, number: int, count: int) -> list[Block]:
    """Each button stands in a block of its own, whose id says where it leads."""
    if count == 1:
        return []
    places = [("Next page", number + 1)] if number + 1 < count else []
    places += [("Previous page", number - 1)] if number else []
    buttons = [_page_button(request, label, place) for label, place in places]
    return [context(plain(f"Page {number + 1} of {count}")), *buttons]


def _page_button(request: ApprovalRequest, label: str, page: int) -> Block:
    button = {
        "type": "button",
        "action_id": ids.PAGE,
        "text": plain(label, 75),
        "value": ids.reference(request),
    }
    return {"type": "actions", "block_id": f"{ids.PAGE_BLOCK}{page}", "elements": [button]}


def _pages(request: ApprovalRequest, story: Sequence[Told], names: Names) -> list[list[_Piece]]:
    sections = [*_sections(request, names)]
    if story:
        sections.insert(-1, _Piece("Who was asked, and what arrived", _story(story)))
    pieces = [piece for section in sections for piece in _split(section)]
    pages: list[list[_Piece]] = [[]]
    for piece in pieces:
        held = sum(len(other.text) for other in pages[-1])
        if pages[-1] and (held + len(piece.text) > _PAGE or len(pages[-1]) == _FRAMES):
            pages.append([])
        pages[-1].append(piece)
    return pages


def _split(section: _Piece) -> Iterator[_Piece]:
    """Frames of at most PIECE characters, broken at a line end when there is one near."""
    title, text = section.title, visible(section.text, lines=True)
    part, start = 1, 0
    while start < len(text) or part == 1:
        end = start + PIECE
        if end < len(text):
            broken = text.rfind("\n", start + PIECE // 2, end)
            end = broken + 1 if broken > 0 else end
        whole, last = part == 1 and end >= len(text), end >= len(text)
        name = title if whole else f"{title}, part {part}"
        yield _Piece(name, text[start:end] or " ", section.alternative if last else None)
        part, start = part + 1, end


def _sections(request: ApprovalRequest, names: Names) -> Iterator[_Piece]:
    """Titles of ours and texts that are not made visible yet."""
    action, said = wording.shown_action(request), request.submission
    yield _Piece(f"{wording.exactly(request)}, as JSON", pretty(action.params))
    for name, text in texts(action.params).items():
        yield _Piece(f"{shortened(name, 80)}, line by line", text)
    if action.params != request.action.params:
        yield _Piece("What the agent submitted", pretty(request.action.params))
    yield _Piece("Description by the agent", said.description)
    if said.reason:
        yield _Piece("Reason given by the agent", said.reason)
    if said.preview:
        yield _Piece("The agent's preview of the effect", said.preview)
    for number, alternative in enumerate(said.alternatives):
        offered = f"{alternative.description}\n{pretty(alternative.params)}"
        open_number = number if request.status is Status.PENDING else None
        yield _Piece(f"Alternative {number + 1} offered by the agent", offered, open_number)
    if said.rollback is not None:
        yield _Piece("Planned undo", pretty(said.rollback))
    if said.metadata:
        yield _Piece("Metadata", pretty(said.metadata))
    yield _Piece("Risk and policy", _judgement(request))
    if request.reviews:
        yield _Piece("Reviews", _reviews(request))
    if request.messages:
        said_lines = (f"{utc(m.at)} {shortened(names.of(m.sender), 80)}: {m.text}" for m in request.messages)
        yield _Piece("Messages", "\n".join(said_lines))
    yield _Piece("Identity", _identity(request))


def _judgement(request: ApprovalRequest) -> str:
    policy = request.policy if request.proposal is None else request.proposal.policy
    risk = request.current_risk
    factors = [f"{f.points:+f} {f.name}: {shortened(f.detail, 500)}" for f in risk.factors]
    lines = [
        f"{risk.level.value}, score {risk.score}, advice {risk.recommendation}",
        *factors,
        f"policy {policy.name or 'none'} {policy.version}, rule {policy.rule}",
        policy.explanation,
        wording.progress(request),
    ]
    return "\n".join(shown for shown in lines if shown)


def _reviews(request: ApprovalRequest) -> str:
    return "\n".join(
        f"{utc(r.at)} {shortened(r.reviewer.name, 80)} ({r.reviewer.id}): {r.verdict.value}"
        + (" (voided by an edit)" if r.voided else "")
        + (f": {r.reason}" if r.reason else "")
        for r in request.reviews
    )


def _story(story: Sequence[Told]) -> str:
    return "\n".join(f"{line.at[:19].replace('T', ' ')} {shortened(line.words, 300)}" for line in story)


def _identity(request: ApprovalRequest) -> str:
    lines = [
        f"request {request.id}",
        f"agent {request.agent}, owner {request.owner or 'none'}",
        f"type {request.action.type}",
        f"target {target(wording.shown_action(request))}",
        f"digest {request.current_digest}",
        *(f"related {related}" for related in request.submission.related),
    ]
    return "\n".join(lines)
