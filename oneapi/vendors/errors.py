"""Errors inside an answer that came under HTTP 200, wherever OpenAI's imitators put them."""

from typing import Any

Json = dict[str, Any]

UNFINISHED = (None, "", "null", "none", "None", "NULL")  # finish reasons that are none
FAILED = ("error", "network_error", "server_error", "failed", "failure")  # finish reasons, in lower case, of a failed answer
FINE = (None, "", 0, 200, "0", "200", "ok", "OK", "success")  # codes that say that nothing is wrong
MESSAGES = ("message", "msg", "error_msg", "detail")


def found_in(piece: Json) -> Json | None:
    """Return an object with the error that an answer, a chunk or one of its choices holds; None when there is none."""
    if piece.get("error") or piece.get("object") == "error":
        return piece
    choices = piece.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        if not isinstance(choice, dict):
            continue
        for holder in (choice, choice.get("message"), choice.get("delta")):
            if isinstance(holder, dict) and holder.get("error"):
                return {"error": holder["error"]}
        reason = choice.get("finish_reason")
        if isinstance(reason, str) and reason.lower() in FAILED:
            code = {"message": "The provider ended the answer with an error.", "code": reason}
            return {"error": code}
    if not choices and not piece.get("usage"):
        return _unshaped(piece)
    return None


def _unshaped(piece: Json) -> Json | None:
    """An error without the envelope: a message or code where the answer should be."""
    if errors := piece.get("errors"):
        first = errors[0] if isinstance(errors, list) else errors
        return {"error": first if isinstance(first, dict | str) else {"message": str(first)}}
    if piece.get("error_msg") or piece.get("error_code"):
        return piece | {"code": piece.get("error_code")}
    if _says_failure(piece) and any(isinstance(piece.get(name), str) and piece[name] for name in MESSAGES):
        return piece
    detail = piece.get("detail") if piece.keys() == {"detail"} else None
    if isinstance(detail, list) and detail and isinstance(detail[0], dict):  # FastAPI's form
        return {"error": {"message": str(detail[0].get("msg") or detail[0])}}
    return piece if isinstance(detail, str) else None


def _says_failure(piece: Json) -> bool:
    status = piece.get("status")
    failed = isinstance(status, int) and status >= 400
    failed = failed or piece.get("success") is False or piece.get("type") == "error" or status in ("error", "failed")
    return failed or any(piece.get(name) not in FINE for name in ("code", "status_code"))
