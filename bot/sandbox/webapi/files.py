"""files.*: uploading in the three steps of `files_upload_v2`."""

import mimetypes
import secrets
from typing import Any

from bot.sandbox.errors import SlackError
from bot.sandbox.model import Json, StoredFile
from bot.sandbox.webapi.calls import Call, method


@method("files.getUploadURLExternal")
def get_upload_url(call: Call) -> Json:
    """Where to send the bytes of a file, and its id."""
    length = call.whole("length", 0)
    if length < 1:
        raise SlackError("file_upload_size_restricted")
    name = call.required("filename")
    file_id = "F" + secrets.token_hex(5).upper()
    mimetype = mimetypes.guess_type(name)[0] or "application/octet-stream"
    call.workspace.files[file_id] = StoredFile(file_id, name, length, name, mimetype)
    return {"upload_url": f"{call.services.url}/upload/{file_id}", "file_id": file_id}


@method("files.completeUploadExternal")
def complete_upload(call: Call) -> Json:
    """Share uploaded files, in a channel when one is named."""
    given = call.structure("files")
    if not isinstance(given, list) or not given:
        raise SlackError("invalid_arguments", ["missing required field: files"])
    files = [_uploaded(call, item) for item in given]
    target = call.text("channel_id") or call.text("channels")
    if target:
        channel = call.workspace.channel_to_post(target)
        call.workspace.post(
            channel,
            call.workspace.bot["user_id"],
            text=call.text("initial_comment") or "",
            thread_ts=call.text("thread_ts"),
            files=[file_payload(call, stored) for stored in files],
        )
    return {"files": [file_payload(call, stored) for stored in files]}


def _uploaded(call: Call, item: Any) -> StoredFile:
    if not isinstance(item, dict):
        raise SlackError("invalid_arguments", ["must provide an array of objects [json-pointer:/files]"])
    stored = call.workspace.files.get(str(item.get("id")))
    if stored is None or stored.content is None:
        raise SlackError("file_not_found")
    stored.title = item.get("title") or stored.name
    stored.shared_at = int(call.workspace.clock())
    return stored


def file_payload(call: Call, stored: StoredFile) -> Json:
    """A file as files.* and messages show it."""
    address = f"{call.services.url}/files/{stored.id}"
    return {
        "id": stored.id,
        "created": stored.shared_at,
        "timestamp": stored.shared_at,
        "name": stored.name,
        "title": stored.title,
        "mimetype": stored.mimetype,
        "filetype": stored.name.rpartition(".")[2],
        "user": call.workspace.bot["user_id"],
        "size": len(stored.content or b""),
        "mode": "hosted",
        "is_external": False,
        "url_private": address,
        "url_private_download": address,
        "permalink": address,
    }
