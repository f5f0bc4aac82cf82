"""MiniMax beside chat: speech that comes as hexadecimal digits, and pictures."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from oneapi.vendors import pieces
from oneapi.vendors.contract import CODE_KINDS, Protocol, failure
from oneapi.wire import Call, Reply, Request, VendorError

Json = dict[str, Any]

SOUNDS = {"mp3": "audio/mpeg", "wav": "audio/wav", "flac": "audio/flac", "pcm": "audio/pcm", "opus": "audio/opus"}


def protocols(codes: Mapping[str, str]) -> dict[str, Protocol]:
    """Speech and pictures, with the vendor's codes."""

    def read(reply: Reply) -> Json:
        answer = reply.json()
        state = answer.get("base_resp") or {}
        if state.get("status_code"):
            raise pieces.refusal(codes, state["status_code"], state.get("status_msg"))
        return answer

    def parse_speech(reply: Reply, call: Call) -> Reply:
        answer = read(reply)
        sound = bytes.fromhex(answer["data"]["audio"])
        if not sound:
            raise VendorError("garbled", "The vendor's answer holds no sound.", status=200)
        format = (answer.get("extra_info") or {}).get("audio_format") or "mp3"
        return Reply(200, {"content-type": SOUNDS.get(format, "application/octet-stream")}, sound)

    def parse_images(reply: Reply, call: Call) -> Json | Request:
        data = read(reply)["data"]
        if drawn := data.get("image_base64"):
            return {"created": int(call.now), "data": [{"b64_json": image} for image in drawn]}
        if not data.get("image_urls"):
            raise VendorError("content_filter", "The vendor made no picture: the prompt or the result was filtered.", status=200)
        return {"created": int(call.now), "data": [{"url": url} for url in data["image_urls"]]}

    fail = partial(failure, codes=CODE_KINDS | dict(codes))
    return {
        "speech": Protocol(build_speech, parse_speech, fail=fail),
        "images": Protocol(build_images, parse_images, fail=fail),
    }


def build_speech(call: Call) -> Request:
    """https://platform.minimax.io/docs/api-reference/speech-t2a-http"""
    body = call.body
    voice: Json = {"voice_id": body.get("voice"), "speed": body.get("speed") or 1}
    ours = ("model", "input", "voice", "speed", "response_format", "stream", "stream_format", "instructions")
    more = {k: v for k, v in body.items() if k not in ours}
    sent: Json = {"model": call.model, "text": body["input"], "stream": False, "output_format": "hex"}
    sent |= {"voice_setting": voice | more.pop("voice_setting", {}), "audio_setting": {"format": format_of(body)}}
    return Request(address(call, "/v1/t2a_v2"), sent | more)


def format_of(body: Json) -> str:
    wanted = body.get("response_format") or "mp3"
    if wanted not in SOUNDS:
        raise VendorError("bad_request", f"This vendor speaks {', '.join(SOUNDS)}, not {wanted}.", param="response_format")
    return wanted


def build_images(call: Call) -> Request:
    """https://platform.minimax.io/docs/api-reference/image-generation-t2i"""
    body = call.body
    sent: Json = {"model": call.model, "prompt": body["prompt"]}
    sent |= {k: v for k, v in body.items() if k not in ("size", "response_format", "quality", "style", "user", "stream")}
    sent["response_format"] = "base64" if body.get("response_format") == "b64_json" else "url"
    if body.get("size") not in (None, "auto"):
        width, _, height = body["size"].partition("x")
        sent |= {"width": int(width), "height": int(height)}
    return Request(address(call, "/v1/image_generation"), sent)


def address(call: Call, path: str) -> str:
    return call.base_url.removesuffix("/v1") + path
