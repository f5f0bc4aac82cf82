"""Replicate: predictions that are waited for, polled or streamed; chat for language models, images for the others."""

import base64
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import urlsplit

from oneapi.vendors import shapes
from oneapi.vendors.contract import Protocol, Vendor, bearer, failure
from oneapi.wire import Call, Event, Reply, Request, VendorError

Json = dict[str, Any]

POLL_SECONDS = 1.0
# Codes at the end of a failed prediction's text. https://replicate.com/docs/reference/error-codes
CODES = {
    "E001": "server", "E002": "server", "E003": "overloaded", "E004": "overloaded", "E005": "content_filter",
    "E006": "bad_request", "E008": "timeout", "E009": "server", "E6716": "timeout",
    "E8765": "server", "E9243": "server", "E9825": "server",
}  # fmt: skip
# Each owner's models call the same things by other names; "*" is everybody else.
LIMIT = {"openai": "max_completion_tokens", "google": "max_output_tokens", "*": "max_tokens"}
PICTURES = {"openai": "image_input", "google": "images", "*": "image"}
PASSED = (
    "temperature", "top_p", "top_k", "presence_penalty", "frequency_penalty", "repetition_penalty", "seed", "min_tokens",
    "prompt_template", "reasoning_effort", "verbosity",
)  # fmt: skip
DRAWN = (
    "seed", "negative_prompt", "guidance", "guidance_scale", "num_inference_steps", "steps", "output_format", "output_quality",
    "safety_tolerance", "style", "image", "mask", "input_image", "aspect_ratio", "go_fast",
)  # fmt: skip
RATIOS = ((1, 1), (16, 9), (9, 16), (3, 2), (2, 3), (4, 3), (3, 4), (4, 5), (5, 4), (21, 9), (9, 21))
SEVERAL = re.compile(r"flux-(schnell|dev)|sdxl")  # models that draw more than one image at a time


def root(call: Call) -> str:
    """The API's address, however much of a path is typed behind it."""
    return call.base_url.removesuffix("/models").removesuffix("/v1")


def create(call: Call, given: Json) -> Request:
    """A prediction by an official model, a deployment or a pinned version. https://replicate.com/docs/reference/http"""
    more = call.body.get("input")  # whatever else a model takes
    out: Json = {"input": given | more if isinstance(more, dict) else given}
    model = call.model
    if model.startswith("deployments/"):
        path = f"/v1/{model}/predictions"
    elif ":" in model or "/" not in model:
        path, out["version"] = "/v1/predictions", model
    else:
        path = f"/v1/models/{model}/predictions"
    if call.streaming:
        return Request(root(call) + path, out | {"stream": True})
    return Request(root(call) + path, out, {"Prefer": "wait"})


def build(call: Call) -> Request:
    body, owner = call.body, call.model.partition("/")[0]
    turns = [turn for turn in body["messages"] if turn["role"] not in ("system", "developer")]
    given: Json = {"prompt": prompt(turns)}
    if told := [shapes.text_of(turn["content"]) for turn in body["messages"] if turn["role"] in ("system", "developer")]:
        given["system_prompt"] = "\n\n".join(told)
    if (limit := shapes.max_tokens(body)) is not None:
        given[LIMIT.get(owner, LIMIT["*"])] = limit
    given |= {name: body[name] for name in PASSED if body.get(name) is not None}
    if stop := shapes.stop_list(body):
        given["stop_sequences"] = ",".join(stop)
    return create(call, given | pictures(turns, owner))


def prompt(turns: list[Json]) -> str:
    """One question as it stands; a conversation as a transcript that the model continues."""
    if len(turns) == 1:
        return shapes.text_of(turns[0]["content"])
    said = [f"{turn['role'].capitalize()}: {shapes.text_of(turn['content'])}" for turn in turns]
    return "\n\n".join([*said, "Assistant:"])


def pictures(turns: list[Json], owner: str) -> Json:
    parts = [
        part for turn in turns if isinstance(turn["content"], list) for part in turn["content"] if part["type"] == "image_url"
    ]
    found, name = [part["image_url"]["url"] for part in parts], PICTURES.get(owner, PICTURES["*"])
    if not found:
        return {}
    if name != "image":
        return {name: found}
    if len(found) > 1:
        raise VendorError("bad_request", "This model looks at one image at a time.")
    return {name: found[0]}


def state(reply: Reply, call: Call) -> Json | Request:
    """A prediction that has succeeded, or the next question about it."""
    told = reply.json()
    match told["status"]:
        case "succeeded":
            return told
        case "starting" | "processing" | "queued":
            return Request(f"{root(call)}/v1/predictions/{told['id']}", method="GET", wait=POLL_SECONDS)
    raise broken(told.get("error") or f"The prediction ended as {told['status']}.")


def broken(text: Any) -> VendorError:
    text = text if isinstance(text, str) else json.dumps(text)
    code = next(iter(re.findall(r"\bE\d{3,4}\b", text)), "")
    kind = CODES.get(code) or ("content_filter" if "nsfw" in text.lower() else "server")
    return VendorError(kind, text, status=200, code=code)


def parse(reply: Reply, call: Call) -> Json | Request:
    if call.streaming and (url := (reply.json().get("urls") or {}).get("stream")):
        return Request(url, None, {"Accept": "text/event-stream", "Cache-Control": "no-store"}, "GET", framing="sse_text")
    told = state(reply, call)
    if isinstance(told, Request):
        return told
    output, counts = told["output"], told.get("metrics") or {}
    text = output if isinstance(output, str) else "".join(output or ())
    used = shapes.usage(counts.get("input_token_count") or 0, counts.get("output_token_count") or 0)
    return shapes.completion(call, {"content": text}, "stop", used, id=f"chatcmpl-{told['id']}")


def stream(events: Iterable[Event], call: Call) -> Iterator[Json]:
    """Words as plain text. https://replicate.com/docs/topics/predictions/streaming"""
    yield shapes.chunk(call, {"role": "assistant", "content": ""})
    for event in events:
        match event.name:
            case "output":
                if event.data:
                    yield shapes.chunk(call, {"content": event.data})
            case "error":
                raise broken(decoded(event.data).get("detail") or event.data)
            case "done":
                if reason := decoded(event.data or "{}").get("reason"):
                    raise VendorError("server", f"The prediction ended with {reason}.", status=200, code=reason)
                yield shapes.chunk(call, {}, "stop")
                yield shapes.usage_chunk(call, shapes.usage())  # never told: the meter counts
                return
    raise VendorError("garbled", "The vendor's stream ended before the answer did.")


def decoded(data: Any) -> Json:
    return data if isinstance(data, dict) else json.loads(data)


def build_image(call: Call) -> Request:
    body, n = call.body, call.body.get("n") or 1
    given = {"prompt": body["prompt"]} | shape(call.model, str(body.get("size") or ""))
    given |= {name: body[name] for name in DRAWN if body.get(name) is not None}
    if n > 1 and not SEVERAL.search(call.model):
        raise VendorError("bad_request", "This model draws one image at a time: ask with n = 1.")
    return create(call, given | ({"num_outputs": n} if n > 1 else {}))


def shape(model: str, size: str) -> Json:
    """The size as the model's family takes it: as it stands, in pixels, or as the nearest of a few proportions."""
    width, _, height = size.partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        return {}
    if model.startswith("recraft-ai/"):
        return {"size": size}
    if "sdxl" in model:
        return {"width": int(width), "height": int(height)}
    wanted = int(width) / int(height)
    across, down = min(RATIOS, key=lambda ratio: abs(ratio[0] / ratio[1] - wanted))
    return {"aspect_ratio": f"{across}:{down}"}


def parse_image(reply: Reply, call: Call) -> Json | Request:
    """Addresses, or where base64 is wanted the images themselves, fetched one after the other."""
    memo = call.memo
    if "drawn" in memo:
        memo["images"].append(base64.b64encode(reply.body).decode())
    else:
        told = state(reply, call)
        if isinstance(told, Request):
            return told
        memo["drawn"], memo["images"] = list([told["output"]] if isinstance(told["output"], str) else told["output"]), []
    drawn, images = memo["drawn"], memo["images"]
    if call.body.get("response_format") != "b64_json":
        return {"created": int(call.now), "data": [{"url": url} for url in drawn]}
    while len(images) < len(drawn) and drawn[len(images)].startswith("data:"):
        images.append(shapes.data_url(drawn[len(images)])[1])
    if len(images) < len(drawn):
        return Request(drawn[len(images)], method="GET")
    return {"created": int(call.now), "data": [{"b64_json": image} for image in images]}


def sign(request: Request, call: Call) -> Request:
    """The key goes to the channel's address and to the vendor's own, not to wherever an answer points."""
    host = urlsplit(request.url).hostname or ""
    trusted = host == urlsplit(call.base_url).hostname or host.endswith(".replicate.com")
    return bearer(request, call) if trusted else request


def fail(reply: Reply, call: Call) -> VendorError:
    """Problem documents: title and detail."""
    return failure(reply, call, {})


VENDORS = (
    Vendor(
        46, "replicate", "Replicate", "https://api.replicate.com",
        protocols={"chat": Protocol(build, parse, stream, fail=fail), "images": Protocol(build_image, parse_image, fail=fail)},
        sign=sign, key_label="API token", owned_by="replicate", documents="https://replicate.com/docs/reference/http",
    ),
)  # fmt: skip
