"""How a program asks for a model: the same call in curl, Python and Node, for every kind of call."""

import json
from typing import Any, NamedTuple

from flask import Flask

from oneapi.relay.endpoints import ENDPOINTS


class Call(NamedTuple):
    body: dict[str, Any]
    method: str = ""  # of OpenAI's SDKs; "" where they have none
    answer: str = ""  # what is printed, in Python's and Node's common words


FILE = "audio.mp3"
CALLS = {
    "chat": Call({"messages": [{"role": "user", "content": "Hello"}]}, "chat.completions.create", "choices[0].message.content"),
    "completions": Call({"prompt": "Once upon a time"}, "completions.create", "choices[0].text"),
    "embeddings": Call({"input": "Hello"}, "embeddings.create", "data[0].embedding"),
    "images": Call({"prompt": "A small red circle"}, "images.generate", "data[0]"),
    "speech": Call({"input": "Hello", "voice": "alloy"}, "audio.speech.create"),
    "transcriptions": Call({}, "audio.transcriptions.create", "text"),
    "moderations": Call({"input": "Hello"}, "moderations.create", "results[0].flagged"),
    "rerank": Call({"query": "Hello", "documents": ["Hello", "World"]}),
}


def path(kind: str) -> str:
    """The address of a kind of call on this server."""
    return next(path for path, endpoint in ENDPOINTS.items() if endpoint.kind == kind)


def examples(address: str, model: str, secret: str, kind: str = "chat") -> list[tuple[str, str]]:
    """(language, program)."""
    kind = kind if kind in CALLS else "chat"
    call = CALLS[kind]
    body = {"model": model} | call.body
    made = [("curl", _curl(address + path(kind), secret, body, kind))]
    if call.method:
        made += [("Python", _python(address, secret, body, call, kind)), ("Node", _node(address, secret, body, call, kind))]
    return made


def _curl(url: str, secret: str, body: dict[str, Any], kind: str) -> str:
    head = f'curl {url} \\\n  -H "Authorization: Bearer {secret}" \\\n'
    if kind == "transcriptions":
        return head + f'  -F "file=@{FILE}" -F "model={body["model"]}"'
    said = ",\n       ".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in body.items())
    end = " \\\n  --output speech.mp3" if kind == "speech" else ""
    return head + f"  -H \"Content-Type: application/json\" \\\n  -d '{{{said}}}'{end}"


def _python(address: str, secret: str, body: dict[str, Any], call: Call, kind: str) -> str:
    values = [f"{k}={json.dumps(v)}" for k, v in body.items()] + [f'file=open("{FILE}", "rb")'] * (kind == "transcriptions")
    shown = 'answer.write_to_file("speech.mp3")' if kind == "speech" else f"print(answer.{call.answer})"
    return (
        f'from openai import OpenAI\n\nclient = OpenAI(base_url="{address}/v1",\n                api_key="{secret}")\n'
        f"answer = client.{call.method}(\n    " + ",\n    ".join(values) + f")\n{shown}"
    )


def _node(address: str, secret: str, body: dict[str, Any], call: Call, kind: str) -> str:
    values = [f"{k}: {json.dumps(v)}" for k, v in body.items()] + [f'file: fs.createReadStream("{FILE}")'] * (
        kind == "transcriptions"
    )
    files = 'import fs from "node:fs";\n' if kind in ("speech", "transcriptions") else ""
    shown = f"console.log(answer.{call.answer});"
    if kind == "speech":
        shown = 'fs.writeFileSync("speech.mp3", Buffer.from(await answer.arrayBuffer()));'
    return (
        f'{files}import OpenAI from "openai";\n\nconst client = new OpenAI({{ baseURL: "{address}/v1",\n'
        f'                            apiKey: "{secret}" }});\nconst answer = await client.{call.method}({{\n  '
        + ",\n  ".join(values)
        + f" }});\n{shown}"
    )


def init(app: Flask) -> None:
    app.jinja_env.globals["examples"] = examples
