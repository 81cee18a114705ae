"""What the demo says on the terminal: where things are, and what to try."""

from pathlib import Path

from bot.demo.stage import AGENT, Stage


def say(text: str) -> None:
    """Print, at once even through a pipe."""
    print(text, flush=True)


def starting(home: Path) -> str:
    """The first line."""
    return f"Keyturn's demo starts in {home}: a local Slack, the bot, and an agent that asks before it acts."


def page(stage: Stage) -> str:
    """The page to open: #approvals, as Dana."""
    return f"{stage.page}/?as=U0DANA001#/archives/C0APPROVE"


def guide(stage: Stage, *, keep: bool) -> str:
    """Where to look and what to do there."""
    end = "keeps" if keep else "removes"
    return f"""
  Open   {page(stage)}

A Slack workspace of your own: choose on the page who you are, read #approvals, press the buttons.
The agent {AGENT!r} does an evening's work on {stage.shop} and asks before each step:

  1  Empty the image cache    a rule allows it: nobody is asked
  2  Write a file to /etc     a rule blocks it: nobody is asked
  3  Raise max_connections    as Dana: Modify, and write 100 instead of 500
  4  Migrate the database     as Sam: Approve. As Olga, who owns the agent, it is refused
  5  Deploy to production     two people: Approve as Rafael (release) and as Suki (SRE)
  6  Delete all backups       as Priya: Reject, and say why
  7  Write to all customers   nobody: watch it climb to whoever is on call, to the manager, to its end

Then look at what happened to the files:  ls -R {stage.shop}

  Undo     as Sam, in #approvals: /rollback session SESSION, with the session that the agent names below;
           read what would change, confirm, and see the settings and the cache come back
  Audit    as Alex, the auditor: /audit session SESSION tells who decided what and when, /audit verify
           checks that nobody changed the record, /audit report 1d draws it
           Over HTTP: curl -s -H "Authorization: Bearer $(cat {stage.token_file})" \\
             {stage.server}/v1/sessions/SESSION/timeline
  Rules    what is allowed, blocked and asked: {stage.policies / "shop.yaml"}
  Wire     the two arrows at the top of the page show every call between Slack and the bot
  Logs     {stage.logs}

Ctrl-C stops everything and {end} the directory.
"""


def ending(home: Path, keep: bool) -> str:
    """The last line."""
    return f"Stopped. The directory stays: {home}" if keep else f"Stopped; {home} is removed."
