"""What Coze has around its chats: files to upload, speech, transcription, and the bots a token may talk to."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

from oneapi.vendors import asks, pieces
from oneapi.vendors.contract import ModelList, Protocol, failure
from oneapi.wire import Call, File, Reply, Request, VendorError

Json = dict[str, Any]

# Coze says what is wrong under HTTP 200. https://www.coze.com/docs/developer_guides/coze_error_codes
CODES = {
    "4000": "bad_request", "4001": "bad_request", "4008": "rate_limited", "4009": "rate_limited", "4011": "quota",
    "4013": "rate_limited", "4015": "no_model", "4016": "rate_limited", "4019": "quota", "4027": "quota", "4028": "quota",
    "4100": "auth", "4101": "auth", "4200": "no_model", "4303": "rate_limited", "5000": "server", "700012006": "auth",
    "700012014": "auth", "702093018": "auth",
}  # fmt: skip
PAGE = 50
# Types of message parts, and what Coze calls them.
PARTS = {"image_url": "image", "file": "file", "input_audio": "audio"}
SOUNDS = {"mp3": "audio/mpeg", "wav": "audio/wav", "pcm": "audio/pcm", "opus": "audio/ogg"}


def address(call: Call, path: str, **query: Any) -> str:
    return call.base_url + path + ("?" + urlencode(query) if query else "")


def trouble(error: Json, status: int) -> VendorError:
    code = str(error.get("code"))
    return VendorError(CODES.get(code, "server"), error.get("msg") or f"error {code}", status=status, code=code)


def fail(reply: Reply, call: Call) -> VendorError:
    return failure(reply, call, CODES)


def read(reply: Reply) -> Any:
    answer = reply.json()
    if answer.get("code"):
        raise trouble(answer, 200)
    return answer["data"]


# Files in messages. https://www.coze.com/docs/developer_guides/upload_files


def source(part: Json) -> str:
    """Where a part's picture, file or sound is: an address or a data URL."""
    match part:
        case {"type": "image_url"}:
            return str(asks.image_url(part))
        case {"type": "file", "file": {"file_data": str(data)}}:
            return data
        case {"type": "input_audio", "input_audio": {"data": str(data), **more}}:
            return data if data.startswith(("http", "data:")) else f"data:audio/{more.get('format', 'wav')};base64,{data}"
    raise asks.unsupported(part)


def parts(call: Call) -> Iterator[Json]:
    for turn in call.body["messages"]:
        if turn["role"] != "assistant" and isinstance(turn.get("content"), list):
            yield from (part for part in turn["content"] if part["type"] not in ("text", "input_text"))


def upload(call: Call) -> Request | None:
    """The request that uploads the next file of the conversation; None when all are there."""
    known = call.memo.setdefault("files", {})
    part = next((part for part in parts(call) if source(part).startswith("data:") and source(part) not in known), None)
    if part is None:
        return None
    call.memo["uploading"] = source(part)
    kind, data = asks.data_url(source(part))
    name = (part.get("file") or {}).get("filename") or f"file.{kind.partition('/')[2]}"
    return Request(address(call, "/v1/files/upload"), files=(File("file", name, kind, asks.decoded(data)),))


def uploaded(data: Any, call: Call) -> bool:
    """Whether this was the answer to an upload; its id is remembered."""
    if not call.memo.get("uploading"):
        return False
    call.memo["files"][call.memo.pop("uploading")] = data["id"]
    return True


def part_of(part: Json, call: Call) -> Json:
    if part["type"] in ("text", "input_text"):
        return {"type": "text", "text": part["text"]}
    where = source(part)
    if where in call.memo.get("files", {}):
        return {"type": PARTS[part["type"]], "file_id": call.memo["files"][where]}
    if not where.startswith(("http://", "https://")):
        raise VendorError("bad_request", "A picture must be an http(s) address or a data URL.", param="messages")
    return {"type": PARTS[part["type"]], "file_url": where}


# Sound. https://www.coze.com/docs/developer_guides/text_to_speech and /audio_transcriptions


def build_speech(call: Call) -> Request:
    body = call.body
    wanted = body.get("response_format") or "mp3"
    if wanted not in SOUNDS:
        raise VendorError("bad_request", f"This vendor speaks {', '.join(SOUNDS)}, not {wanted}.", param="response_format")
    more = {k: body[k] for k in ("speed", "sample_rate", "emotion", "emotion_scale", "volume") if body.get(k) is not None}
    format = "ogg_opus" if wanted == "opus" else wanted
    sent = {"input": body["input"], "voice_id": body.get("voice"), "response_format": format, **more}
    return Request(address(call, "/v1/audio/speech"), sent)


def parse_speech(reply: Reply, call: Call) -> Reply:
    if reply.content_type == "application/json" or reply.body[:1] in (b"{", b"<", b""):
        read(reply)
        raise VendorError("garbled", "The vendor's answer holds no sound.", status=200)
    return Reply(200, {"content-type": SOUNDS[call.body.get("response_format") or "mp3"]}, reply.body)


def build_transcription(call: Call) -> Request:
    return Request(address(call, "/v1/audio/transcriptions"), files=(pieces.sound_file(call),))


def parse_transcription(reply: Reply, call: Call) -> Json | Reply:
    return pieces.transcript(read(reply)["text"], call)


# Bots. https://www.coze.com/docs/developer_guides/published_bots_list


def ask_spaces(call: Call) -> Request:
    return Request(address(call, "/v1/workspaces", page_num=1, page_size=PAGE), method="GET")


def read_bots(reply: Reply, call: Call) -> list[str] | Request:
    """First the workspaces, then page by page the bots that are published in each."""
    if reply.status >= 400:
        raise fail(reply, call)
    data, memo = read(reply), call.memo
    if "spaces" not in memo:
        memo |= {"spaces": [space["id"] for space in data["workspaces"]], "bots": [], "page": 1}
    else:
        memo["bots"] += [f"bot-{bot['id']}" for bot in data["items"]]
        more = memo["page"] * PAGE < data["total"] and data["items"]
        memo["page"] = memo["page"] + 1 if more else 1
        memo["spaces"] = memo["spaces"] if more else memo["spaces"][1:]
    if not memo["spaces"]:
        return list(memo["bots"])
    where = {"workspace_id": memo["spaces"][0], "page_size": PAGE, "page_index": memo["page"]}
    return Request(address(call, "/v1/bots", **where, publish_status="published_online"), method="GET")


MODELS = ModelList(ask_spaces, read_bots)
PROTOCOLS = {
    "speech": Protocol(build_speech, parse_speech, fail=fail),
    "transcriptions": Protocol(build_transcription, parse_transcription, fail=fail),
}
