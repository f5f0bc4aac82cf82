"""Images that Replicate's models draw. No row lives here."""

import base64
import re
from typing import Any

from oneapi.vendors import replicate_predictions as predictions
from oneapi.vendors import shapes
from oneapi.wire import Call, Reply, Request, VendorError

Json = dict[str, Any]

DRAWN = (
    "seed", "negative_prompt", "guidance", "guidance_scale", "num_inference_steps", "steps", "output_format", "output_quality",
    "safety_tolerance", "style", "image", "mask", "input_image", "aspect_ratio", "go_fast",
)  # fmt: skip
RATIOS = ((1, 1), (16, 9), (9, 16), (3, 2), (2, 3), (4, 3), (3, 4), (4, 5), (5, 4), (21, 9), (9, 21))
SEVERAL = re.compile(r"flux-(schnell|dev)|sdxl")  # models that draw more than one image at a time


def build(call: Call) -> Request:
    body, n = call.body, call.body.get("n") or 1
    given = {"prompt": body["prompt"]} | shape(call.model, str(body.get("size") or ""))
    given |= {name: body[name] for name in DRAWN if body.get(name) is not None}
    if n > 1 and not SEVERAL.search(call.model):
        raise VendorError("bad_request", "This model draws one image at a time: ask with n = 1.")
    return predictions.create(call, given | ({"num_outputs": n} if n > 1 else {}))


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


def parse(reply: Reply, call: Call) -> Json | Request:
    """Addresses, or where base64 is wanted the images themselves, fetched one after the other."""
    memo = call.memo
    if "drawn" in memo:
        memo["images"].append(base64.b64encode(reply.body).decode())
    else:
        told = predictions.state(reply, call)
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
