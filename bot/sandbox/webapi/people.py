"""auth.*, team.*, users.*, usergroups.*, dnd.* and apps.*: who is who, and who is calling."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from bot.sandbox.errors import SlackError
from bot.sandbox.model import Json, User, UserGroup
from bot.sandbox.webapi.calls import Call, method


@method("api.test")
def api_test(call: Call) -> Json:
    """Echo the arguments."""
    if code := call.text("error"):
        raise SlackError(code)
    return {"args": dict(call.arguments)}


@method("auth.test")
def auth_test(call: Call) -> Json:
    """Whose token this is."""
    workspace = call.workspace
    return {
        "url": f"{call.services.url}/",
        "team": workspace.team["name"],
        "user": workspace.bot["name"],
        "team_id": workspace.team["id"],
        "user_id": workspace.bot["user_id"],
        "bot_id": workspace.bot["bot_id"],
        "is_enterprise_install": False,
    }


@method("apps.connections.open")
def connections_open(call: Call) -> Json:
    """A websocket address, good once."""
    ticket = call.services.tickets.issue()
    socket_url = call.services.url.replace("http://", "ws://", 1)
    return {"url": f"{socket_url}/socket?ticket={ticket}&app_id={call.workspace.bot['app_id']}"}


@method("team.info")
def team_info(call: Call) -> Json:
    """The workspace."""
    return {"team": {**call.workspace.team, "email_domain": "", "icon": {}}}


@method("users.info")
def users_info(call: Call) -> Json:
    """One user."""
    return {"user": user_payload(call, call.workspace.user(call.required("user")))}


@method("users.list")
def users_list(call: Call) -> Json:
    """Every user, deactivated ones too."""
    users, following = call.page(list(call.workspace.users.values()))
    members = [user_payload(call, user) for user in users]
    return {"members": members, "response_metadata": {"next_cursor": following}}


@method("users.lookupByEmail")
def lookup_by_email(call: Call) -> Json:
    """The active user with an address; people of other workspaces are not found by theirs."""
    email, team = call.required("email").lower(), call.workspace.team["id"]
    for user in call.workspace.users.values():
        if user.email.lower() == email and user.team_id == team and not user.deleted:
            return {"user": user_payload(call, user)}
    raise SlackError("users_not_found")


@method("users.getPresence")
def get_presence(call: Call) -> Json:
    """Whether a user is active."""
    return {"presence": call.workspace.user(call.required("user")).presence}


@method("usergroups.list")
def usergroups_list(call: Call) -> Json:
    """Every user group, with members on request."""
    with_users = call.flag("include_users")
    groups = [_usergroup_payload(call, group, with_users) for group in call.workspace.usergroups.values()]
    return {"usergroups": groups}


@method("usergroups.users.list")
def usergroups_users_list(call: Call) -> Json:
    """The ids of a user group's members."""
    return {"users": list(call.workspace.usergroup(call.required("usergroup")).users)}


@method("dnd.info")
def dnd_info(call: Call) -> Json:
    """A user's quiet hours; the bot's own without `user`."""
    user = call.workspace.user(call.text("user") or call.workspace.bot["user_id"])
    return {
        "dnd_enabled": user.dnd_enabled,
        "next_dnd_start_ts": user.next_dnd_start_ts,
        "next_dnd_end_ts": user.next_dnd_end_ts,
    }


def user_payload(call: Call, user: User) -> Json:
    """A user as users.* return it."""
    first, _, last = user.real_name.partition(" ")
    at = datetime.fromtimestamp(call.workspace.clock(), UTC)
    offset = at.astimezone(ZoneInfo(user.tz)).utcoffset()
    payload: Json = {
        "id": user.id,
        "team_id": user.team_id,
        "name": user.name,
        "deleted": user.deleted,
        "color": user.color,
        "real_name": user.real_name,
        "tz": user.tz,
        "tz_label": user.tz,
        "tz_offset": int(offset.total_seconds()) if offset else 0,
        "profile": {
            "title": user.title,
            "real_name": user.real_name,
            "real_name_normalized": user.real_name,
            "display_name": user.name,
            "display_name_normalized": user.name,
            "first_name": first,
            "last_name": last,
            "status_text": user.status_text,
            "status_emoji": user.status_emoji,
            "status_expiration": user.status_expiration,
            "team": user.team_id,
        },
        "is_admin": user.is_admin,
        "is_owner": False,
        "is_primary_owner": False,
        "is_restricted": user.is_restricted,
        "is_ultra_restricted": user.is_ultra_restricted,
        "is_bot": user.is_bot,
        "is_app_user": False,
        "is_stranger": user.team_id != call.workspace.team["id"],
        "is_email_confirmed": bool(user.email),
        "updated": 0,
        "locale": "en-US",
    }
    if user.email:
        payload["profile"]["email"] = user.email
    if user.is_bot:
        bot = call.workspace.bot
        payload["profile"] |= {"bot_id": bot["bot_id"], "api_app_id": bot["app_id"]}
    return payload


def _usergroup_payload(call: Call, group: UserGroup, with_users: bool) -> Json:
    payload: Json = {
        "id": group.id,
        "team_id": call.workspace.team["id"],
        "is_usergroup": True,
        "is_subteam": True,
        "name": group.name,
        "handle": group.handle,
        "description": "",
        "is_external": False,
        "date_delete": 0,
        "user_count": len(group.users),
    }
    return payload | ({"users": list(group.users)} if with_users else {})
