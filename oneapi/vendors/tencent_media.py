"""Tencent Hunyuan beside chat: embeddings and pictures by jobs; and its actions and errors, which chat shares."""

from typing import Any

from oneapi.vendors import pieces
from oneapi.vendors.contract import Protocol
from oneapi.wire import Call, Reply, Request, VendorError

Json = dict[str, Any]

# https://cloud.tencent.com/document/api/1729/101832, and of streams: /1729/101838
CODES = {
    "AuthFailure": "auth", "UnauthorizedOperation": "auth", "FailedOperation.UserUnAuthError": "auth",
    "FailedOperation.ServiceNotActivated": "auth", "FailedOperation.PartnerAccountUnSupport": "auth",
    "RequestLimitExceeded": "rate_limited", "LimitExceeded": "rate_limited", "FailedOperation.SetPayModeExceed": "quota",
    "FailedOperation.EngineServerLimitExceeded": "overloaded", "FailedOperation.EngineRequestTimeout": "timeout",
    "FailedOperation.FreeResourcePackExhausted": "quota", "FailedOperation.ResourcePackExhausted": "quota",
    "FailedOperation.ServiceStop": "quota", "FailedOperation.ServiceStopArrears": "quota", "ResourceInsufficient": "quota",
    "ResourceUnavailable.InArrears": "quota", "ResourceUnavailable.LowBalance": "quota", "ResourceUnavailable": "server",
    "FailedOperation.ImageDecodeFailed": "bad_request", "FailedOperation.ImageDownloadError": "bad_request",
    "FailedOperation": "server", "InternalError": "server", "InvalidParameter": "bad_request", "MissingParameter": "bad_request",
    "InvalidParameterValue": "bad_request", "InvalidParameterValue.Model": "no_model", "ResourceNotFound": "no_model",
    "UnknownParameter": "bad_request", "UnsupportedOperation": "bad_request", "OperationDenied": "content_filter",
    "InvalidAction": "no_model", "UnsupportedRegion": "bad_request", "InvalidRequest": "bad_request",
    "4000": "server", "4001": "timeout",
}  # fmt: skip
TEXTS = 50  # to embed at once. https://cloud.tencent.com/document/api/1729/102832
IMAGE_NAMES = {
    "n": "Num", "negative_prompt": "NegativePrompt", "seed": "Seed", "style": "Style", "revise": "Revise", "logo_add": "LogoAdd",
}  # fmt: skip
IMAGE_REGION = "ap-guangzhou"  # the only one that draws
IMAGE_SECONDS = 3
IMAGE_POLLS = 80  # the signature is good for five minutes


def acting(call: Call, action: str, body: Json, region: str = "") -> Request:
    headers = {"X-TC-Action": action, "X-TC-Version": "2023-09-01"}
    if region := call.config.get("region") or region:
        headers["X-TC-Region"] = region
    return Request(call.base_url + "/", body, headers)


def read(reply: Reply) -> Json:
    answer = reply.json()
    troubled(answer)
    return answer["Response"]


def troubled(piece: Json) -> None:
    """Errors come as Response.Error, or as ErrorMsg in the midst of a stream."""
    match piece:
        case {"Response": {"Error": {"Code": code, **rest}}}:
            raise pieces.refusal(CODES, code, rest.get("Message"))
        case {"ErrorMsg": {"Code": code, **rest}} | {"Response": {"ErrorMsg": {"Code": code, **rest}}}:
            raise pieces.refusal(CODES, code, rest.get("Msg"))


def build_embeddings(call: Call) -> Request:
    return acting(call, "GetEmbedding", {"InputList": pieces.next_inputs(call, TEXTS)})


def parse_embeddings(reply: Reply, call: Call) -> Json | Request:
    """The vectors come in the order of the texts; Index says 0 of each."""
    answer = read(reply)
    usage = answer.get("Usage") or {}
    used = usage.get("PromptTokens") or usage.get("TotalTokens") or 0
    return pieces.gathered(call, [item["Embedding"] for item in answer["Data"]], used) or build_embeddings(call)


def build_images(call: Call) -> Request:
    """https://cloud.tencent.com/document/api/1729/105969"""
    body = call.body
    sent: Json = {"Prompt": body["prompt"]}
    if body.get("size") not in (None, "auto"):
        sent["Resolution"] = body["size"].replace("x", ":")
    sent |= {name: body[k] for k, name in IMAGE_NAMES.items() if k in body}
    return acting(call, "SubmitHunyuanImageJob", sent, IMAGE_REGION)


def parse_images(reply: Reply, call: Call) -> Json | Request:
    if pieces.downloading(call):
        return pieces.downloaded(reply, call)
    answer = read(reply)
    if "JobId" in answer:
        call.memo["job"] = answer["JobId"]
    match str(answer.get("JobStatusCode", "1")):
        case "5":
            return pieces.pictures(call, answer["ResultImage"])
        case "4":
            raise pieces.refusal(CODES, answer.get("JobErrorCode"), answer.get("JobErrorMsg"))
    call.memo["polls"] = call.memo.get("polls", 0) + 1
    if call.memo["polls"] > IMAGE_POLLS:
        raise VendorError("timeout", "The picture took too long.")
    request = acting(call, "QueryHunyuanImageJob", {"JobId": call.memo["job"]}, IMAGE_REGION)
    request.wait = IMAGE_SECONDS
    return request


PROTOCOLS = {
    "embeddings": Protocol(build_embeddings, parse_embeddings),
    "images": Protocol(build_images, parse_images),
}
