"""Alibaba DashScope beside chat: embeddings, rankings, pictures (at once or by tasks), speech and transcription."""

from re import compile
from typing import Any

from oneapi.vendors import pieces, refusals, shapes
from oneapi.vendors.contract import Protocol
from oneapi.wire import Call, Reply, Request, VendorError

Json = dict[str, Any]

# https://help.aliyun.com/zh/model-studio/developer-reference/error-code
CODES = {
    "InvalidApiKey": "auth", "invalid_api_key": "auth", "AccessDenied": "auth", "Model.AccessDenied": "auth",
    "App.AccessDenied": "auth", "Workspace.AccessDenied": "auth", "Arrearage": "quota", "PrepaidBillOverdue": "quota",
    "PostpaidBillOverdue": "quota", "CommodityNotPurchased": "quota", "AllocationQuota.FreeTierOnly": "quota",
    "InvalidParameter": "bad_request", "invalid_parameter_error": "bad_request", "BadRequest": "bad_request",
    "InvalidParameter.DataInspection": "bad_request", "InvalidURL": "bad_request", "UnsupportedOperation": "bad_request",
    "InvalidSchema": "bad_request", "InvalidImage": "bad_request", "DataInspectionFailed": "content_filter",
    "data_inspection_failed": "content_filter", "IPInfringementSuspect": "content_filter", "FaqRuleBlocked": "content_filter",
    "BadRequest.TooLarge": "too_long", "ModelNotFound": "no_model", "model_not_found": "no_model", "Model.NotFound": "no_model",
    "ModelNotExist": "no_model", "Throttling": "rate_limited", "LimitRequests": "rate_limited", "limit_requests": "rate_limited",
    "limit_burst_rate": "rate_limited", "RequestTimeOut": "timeout", "ResponseTimeout": "timeout", "InternalError": "server",
    "SystemError": "server", "ModelUnavailable": "overloaded", "ModelServiceFailed": "server", "ModelServingError": "overloaded",
    "ServiceUnavailable": "overloaded",
}  # fmt: skip
MULTIMODAL = "/services/aigc/multimodal-generation/generation"
# Models that draw only by tasks; all others, since qwen-image, draw at once by the multimodal service.
BY_TASK = compile(r"wanx|wan2\.[0-5]|stable-diffusion|flux")
POLL_SECONDS = 300
fail = refusals.failing(CODES)
TEXTS, TEXTS_OF = 10, {"text-embedding-v1": 25, "text-embedding-v2": 25}  # to embed at once
SEEING = compile(r"multimodal|vision|-vl")


def host(call: Call) -> str:
    """The base URL may be that of the native or of the compatible mode."""
    return call.base_url.removesuffix("/api/v1").removesuffix("/compatible-mode/v1")


def address(call: Call, path: str) -> str:
    return f"{host(call)}/api/v1{path}"


def headers(call: Call) -> dict[str, str]:
    names = {"X-DashScope-Plugin": "plugin", "X-DashScope-WorkSpace": "workspace"}
    return {name: call.config[key] for name, key in names.items() if call.config.get(key)}


def troubled(answer: Json, status: int = 200) -> None:
    if answer.get("code"):
        raise pieces.refusal(CODES, answer["code"], answer.get("message"), status)


def read(reply: Reply) -> Json:
    answer = reply.json()
    troubled(answer, reply.status)
    return answer


# Embeddings and rankings


def build_embeddings(call: Call) -> Request:
    body = call.body
    parameters: Json = {k: body[k] for k in ("text_type", "output_type", "instruct", "fps") if k in body}
    if "dimensions" in body:
        parameters["dimension"] = body["dimensions"]
    if SEEING.search(call.model):
        items = body["input"] if isinstance(body["input"], list) else [body["input"]]
        given: Json = {"contents": [{"text": item} if isinstance(item, str) else item for item in items]}
        path = "/services/embeddings/multimodal-embedding/multimodal-embedding"
    else:
        given = {"texts": pieces.next_inputs(call, TEXTS_OF.get(call.model, TEXTS))}
        path = "/services/embeddings/text-embedding/text-embedding"
    sent: Json = {"model": call.model, "input": given} | ({"parameters": parameters} if parameters else {})
    return Request(address(call, path), sent, headers(call))


def parse_embeddings(reply: Reply, call: Call) -> Json | Request:
    answer = read(reply)
    found = sorted(answer["output"]["embeddings"], key=lambda item: item.get("text_index") or item.get("index") or 0)
    usage = answer.get("usage") or {}
    tokens = usage.get("total_tokens") or (usage.get("input_tokens") or 0) + (usage.get("image_tokens") or 0)
    vectors = [item["embedding"] for item in found]
    if SEEING.search(call.model):
        return pieces.embeddings(call, vectors, shapes.usage(tokens))
    return pieces.gathered(call, vectors, tokens) or build_embeddings(call)


def build_rerank(call: Call) -> Request:
    body = call.body
    parameters = {k: body[k] for k in ("top_n", "instruct") if k in body}
    sees = SEEING.search(call.model)
    documents = body["documents"] if sees else [pieces.ranked_text(item) for item in body["documents"]]
    sent = {"model": call.model, "input": {"query": body["query"], "documents": documents}, "parameters": parameters}
    return Request(address(call, "/services/rerank/text-rerank/text-rerank"), sent, headers(call))


def parse_rerank(reply: Reply, call: Call) -> Json:
    answer = read(reply)
    results = [(item["index"], item["relevance_score"]) for item in answer["output"]["results"]]
    used = shapes.usage((answer.get("usage") or {}).get("total_tokens") or 0)
    return pieces.ranking(call, results, used, answer.get("request_id") or "")


# Pictures. https://help.aliyun.com/zh/model-studio/qwen-image-api and /text-to-image-v2-api-reference

OURS = ("model", "prompt", "n", "size", "response_format", "user", "quality", "negative_prompt", "image", "stream")


def build_images(call: Call) -> Request:
    body, model = call.body, call.model.removeprefix("ali-")
    parameters: Json = {}
    if body.get("size") not in (None, "auto"):
        parameters["size"] = body["size"].replace("x", "*")
    parameters |= {"n": body["n"]} if body.get("n") is not None else {}
    parameters |= {k: v for k, v in body.items() if k not in OURS}
    unwanted = {"negative_prompt": body["negative_prompt"]} if body.get("negative_prompt") else {}
    if BY_TASK.match(model):
        sent = {"model": model, "input": {"prompt": body["prompt"], **unwanted}, "parameters": parameters}
        path = "/services/aigc/text2image/image-synthesis"
        return Request(address(call, path), sent, headers(call) | {"X-DashScope-Async": "enable"})
    content = [{"image": pieces.as_data_url(file)} for file in call.files if file.name in ("image", "image[]")]
    content.append({"text": body["prompt"]})
    sent = {"model": model, "input": {"messages": [{"role": "user", "content": content}]}, "parameters": parameters | unwanted}
    return Request(address(call, MULTIMODAL), sent, headers(call))


def parse_images(reply: Reply, call: Call) -> Json | Request:
    if pieces.downloading(call):
        return pieces.downloaded(reply, call)
    answer = read(reply)
    output = answer["output"]
    status = output.get("task_status", "SUCCEEDED")
    if status in ("PENDING", "RUNNING", "SUSPENDED"):
        return later(call, output["task_id"])
    if status != "SUCCEEDED":
        raise pieces.refusal(CODES, output.get("code") or status, output.get("message"))
    if "choices" in output:
        urls = [part["image"] for choice in output["choices"] for part in choice["message"]["content"] if part.get("image")]
    else:
        urls = [item["url"] for item in output["results"] if item.get("url")]
        if not urls:  # every single picture failed, and each says why
            raise pieces.refusal(CODES, output["results"][0].get("code"), output["results"][0].get("message"))
    return pieces.pictures(call, urls)


def later(call: Call, task: str) -> Request:
    """Ask for the task again: soon at first, then every five seconds, and no longer than five minutes."""
    call.memo["polls"] = call.memo.get("polls", 0) + 1
    if call.memo["polls"] * 5 > POLL_SECONDS:
        raise VendorError("timeout", "The picture took too long.")
    return Request(address(call, f"/tasks/{task}"), None, headers(call), "GET", wait=min(call.memo["polls"], 5))


# Speech and transcription. https://help.aliyun.com/zh/model-studio/qwen-tts-api and /qwen-asr-api


def build_speech(call: Call) -> Request:
    body = call.body
    given = {"text": body["input"], "voice": body.get("voice")} | {k: body[k] for k in ("language_type",) if k in body}
    return Request(address(call, MULTIMODAL), {"model": call.model, "input": given}, headers(call))


def parse_speech(reply: Reply, call: Call) -> Reply | Request:
    """The answer names the address of a sound, which is fetched next."""
    if "sound" in call.memo:
        return Reply(200, {"content-type": reply.content_type or "audio/wav"}, reply.body)
    call.memo["sound"] = True
    return Request(read(reply)["output"]["audio"]["url"], method="GET")


def build_transcription(call: Call) -> Request:
    messages: list[Json] = [{"role": "user", "content": [{"audio": pieces.as_data_url(pieces.sound_file(call))}]}]
    if call.body.get("prompt"):
        messages.insert(0, {"role": "system", "content": [{"text": call.body["prompt"]}]})
    options = {"asr_options": {"language": call.body["language"]}} if call.body.get("language") else {}
    return Request(
        address(call, MULTIMODAL), {"model": call.model, "input": {"messages": messages}, "parameters": options}, headers(call)
    )


def parse_transcription(reply: Reply, call: Call) -> Json | Reply:
    answer = read(reply)
    text = "".join(part.get("text") or "" for part in answer["output"]["choices"][0]["message"]["content"])
    return pieces.transcript(text, call)


PROTOCOLS = {
    "embeddings": Protocol(build_embeddings, parse_embeddings, fail=fail),
    "rerank": Protocol(build_rerank, parse_rerank, fail=fail),
    "images": Protocol(build_images, parse_images, fail=fail),
    "image_edits": Protocol(build_images, parse_images, fail=fail),
    "speech": Protocol(build_speech, parse_speech, fail=fail),
    "transcriptions": Protocol(build_transcription, parse_transcription, fail=fail),
}
