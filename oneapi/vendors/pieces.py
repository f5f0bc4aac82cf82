"""Small steps of answers that several protocols share: error codes, tool calls in deltas, rankings, pictures by address."""

from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from oneapi.vendors import asks, shapes
from oneapi.vendors.contract import Sign, bearer
from oneapi.wire import Call, File, Reply, Request, VendorError

Json = dict[str, Any]


def kind_of(codes: Mapping[str, str], code: Any, otherwise: str = "server") -> str:
    """The kind of a code such as `Throttling.RateQuota`: the longest dotted beginning that the table knows decides."""
    text = str(code)
    while text not in codes and "." in text:
        text = text.rpartition(".")[0]
    return codes.get(text, otherwise)


def refusal(codes: Mapping[str, str], code: Any, message: Any, status: int = 200, *, otherwise: str = "server") -> VendorError:
    """The VendorError behind a vendor's code, which mostly comes under HTTP 200."""
    text = message if isinstance(message, str) and message else f"error {code}"
    return VendorError(kind_of(codes, code, otherwise), text, status=status, code=str(code))


# Conversations


def plain_text(message: Json, who: str) -> str:
    """The text of a message; raises VendorError("bad_request") where anything but text would be lost."""
    content = message.get("content")
    for part in content if isinstance(content, list) else ():
        if part.get("type") not in ("text", "input_text", "refusal"):
            raise VendorError("bad_request", f"{who} takes only text, not {part.get('type')!r}.", param="messages")
    return shapes.text_of(content)


def one_by_one(messages: list[Json]) -> Iterator[Json]:
    """The conversation for vendors that know one tool call at a time: each call is followed by its own result.

    Results get the `name` of the function they come from.
    """
    results = {m.get("tool_call_id"): m for m in messages if m.get("role") == "tool"}
    for message in messages:
        if message.get("role") == "tool":
            continue
        tools = message.get("tool_calls") or []
        if not tools:
            yield message
        for number, tool in enumerate(tools):
            yield {**message, "content": None if number else message.get("content"), "tool_calls": [tool]}
            if tool["id"] in results:
                yield {**results[tool["id"]], "name": tool["function"]["name"]}


def demanded(body: Json) -> str:
    """The function that must be called: the one that is named, or the only one there is when some call is required."""
    mode, name = asks.choice(body)
    tools = asks.tools(body)
    return tools[0]["function"]["name"] if mode == "required" and len(tools) == 1 else name


class ToolCalls:
    """Numbers the tool calls of one stream and tells of them in OpenAI's deltas."""

    def __init__(self) -> None:
        self._numbers: dict[Any, int] = {}

    def __bool__(self) -> bool:
        return bool(self._numbers)

    def deltas(self, key: Any, id: str, name: str, arguments: str) -> Iterator[Json]:
        """What a vendor said of the call it knows by `key`; None is the call it spoke of last."""
        if key is None and self._numbers:
            key = next(reversed(self._numbers))
        if key not in self._numbers:
            self._numbers[key] = len(self._numbers)
            yield {"tool_calls": [shapes.tool_call(id, name, "", index=self._numbers[key])]}
        if arguments:
            yield {"tool_calls": [{"index": self._numbers[key], "function": {"arguments": arguments}}]}


# Embeddings and rankings


def embeddings(call: Call, vectors: Iterable[list[float]], used: Json) -> Json:
    """OpenAI's embeddings, packed when the client asked for that."""
    return shapes.embeddings(call, [asks.vector(vector, call.body) for vector in vectors], used)


def next_inputs(call: Call, size: int) -> list[str]:
    """What to embed next where a vendor takes at most `size` texts at once."""
    done = len(call.memo.get("vectors", ()))
    return asks.inputs(call.body)[done : done + size]


def gathered(call: Call, vectors: Iterable[list[float]], tokens: float) -> Json | None:
    """OpenAI's embeddings once every input has its vector, None while some are left to ask for.

    Where the vendor counted no tokens there is no usage, and the meter counts.
    """
    found, given = call.memo.setdefault("vectors", []), list(vectors)
    if not given:
        raise VendorError("garbled", "The vendor's answer has no embedding.", status=200)
    found += given
    call.memo["tokens"] = call.memo.get("tokens", 0) + tokens
    if len(found) < len(asks.inputs(call.body)):
        return None
    used = int(call.memo["tokens"])
    out = embeddings(call, found, {"prompt_tokens": used, "total_tokens": used})
    if not used:
        del out["usage"]
    return out


def ranked_text(document: Any) -> str:
    """A document as vendors rank it who know texts only: its text, or all of its fields."""
    if isinstance(document, str):
        return document
    return document["text"] if isinstance(document.get("text"), str) else asks.compact(document)


def ranking(call: Call, results: Iterable[tuple[int, float]], used: Json, id: str = "") -> Json:
    """The common shape of /v1/rerank; documents come from the question, since not every vendor gives them back."""
    found: list[Json] = [{"index": index, "relevance_score": score} for index, score in results]
    for item in found if call.body.get("return_documents") else ():
        document = call.body["documents"][item["index"]]
        item["document"] = {"text": document} if isinstance(document, str) else document
    return {"id": id or f"rerank-{call.id}", "model": call.asked or call.model, "results": found, "usage": used}


# Transcripts


def sound_file(call: Call) -> File:
    """The uploaded sound, where the vendor gives nothing but words for it."""
    if call.body.get("response_format") in ("srt", "vtt"):
        raise VendorError("bad_request", "This vendor tells no times: ask for json or text.", param="response_format")
    sound = next((file for file in call.files if file.name == "file"), None)
    if sound is None:
        raise VendorError("bad_request", "The form has no file.", param="file")
    return sound


def transcript(text: str, call: Call) -> Json | Reply:
    """What was heard, as JSON or as plain text."""
    if call.body.get("response_format") == "text":
        return Reply(200, {"content-type": "text/plain; charset=utf-8"}, text.encode())
    return {"text": text}


# Files by address


def at_home(sign: Sign = bearer) -> Sign:
    """Sign only what goes to the channel's own address: a picture's address belongs to a store that must not see the key."""

    def home(request: Request, call: Call) -> Request:
        return sign(request, call) if urlsplit(request.url).netloc == urlsplit(call.base_url).netloc else request

    return home


def pictures(call: Call, urls: list[str], **more: Any) -> Json | Request:
    """OpenAI's answer with these pictures, or the request for the first one when base64 was asked for."""
    if not urls:
        raise VendorError("garbled", "The vendor's answer holds no picture.", status=200)
    if call.body.get("response_format") != "b64_json":
        return {"created": int(call.now), "data": [{"url": url} for url in urls], **more}
    call.memo |= {"left": urls[1:], "pictures": [], "more": more}
    return Request(urls[0], method="GET")


def downloading(call: Call) -> bool:
    """Whether the answer at hand is a picture that `pictures` asked for."""
    return "pictures" in call.memo


def downloaded(reply: Reply, call: Call) -> Json | Request:
    """The answer once the last picture is here, else the request for the next."""
    call.memo["pictures"].append({"b64_json": b64encode(reply.body).decode()})
    if call.memo["left"]:
        return Request(call.memo["left"].pop(0), method="GET")
    return {"created": int(call.now), "data": call.memo["pictures"], **call.memo["more"]}


def as_data_url(file: File) -> str:
    return f"data:{asks.kind_of(file)};base64,{b64encode(file.data).decode()}"
