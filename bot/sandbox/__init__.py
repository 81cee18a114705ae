"""A local Slack workspace: Slack's wire formats, rules and refusals, on loopback, for demos and tests.

Its own little program: it knows nothing of the bot, and the bot cannot tell it from Slack. `running_sandbox`
runs one inside a process, `run` is the command.
"""

from bot.sandbox.sandbox import Sandbox
from bot.sandbox.server import run, running_sandbox, serve_sandbox
from bot.sandbox.workspace import Workspace, load_workspace

__all__ = ["Sandbox", "Workspace", "load_workspace", "run", "running_sandbox", "serve_sandbox"]
