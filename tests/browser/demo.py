"""A believable installation to look at: ten channels, eight people, a month of requests. Written straight into the database."""

import json
import math
import random
import time
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, delete, select, update
from sqlalchemy.orm import Session

from oneapi.models import version
from oneapi.models.channel import Channel
from oneapi.models.ledger import Entry
from oneapi.models.log import Log
from oneapi.models.rollup import Hour
from oneapi.models.token import Token
from oneapi.models.user import User

HOUR, DAYS, UNIT = 3600, 60, 500_000
# name, type, groups, priority, weight, status, last tests, ms, dollars used, balance left, currency, models
CHANNELS = (
    (
        "Anthropic · main",
        14,
        "default,vip",
        10,
        5,
        1,
        "1" * 20,
        842,
        412.80,
        None,
        "",
        "claude-sonnet-4-5,claude-opus-4-1,claude-haiku-4-5",
    ),
    (
        "OpenAI · org-prod",
        1,
        "default,vip,svip",
        10,
        3,
        1,
        "11111111011111111111",
        611,
        1204.16,
        86.40,
        "USD",
        "gpt-5,gpt-5-mini,gpt-5-nano,gpt-4.1,gpt-4o,text-embedding-3-large,whisper-1,gpt-image-1",
    ),
    ("Azure East US 2", 3, "vip", 8, 2, 1, "11111111111110111111", 1320, 208.11, None, "", "gpt-4o,gpt-5-mini"),
    (
        "Bedrock us-west-2",
        33,
        "default",
        5,
        1,
        3,
        "11111111111111100000",
        0,
        96.02,
        None,
        "",
        "claude-sonnet-4-5,claude-opus-4-1",
    ),
    (
        "DeepSeek 官方",
        36,
        "default,vip",
        5,
        5,
        1,
        "11111011111111111011",
        990,
        61.90,
        214.07,
        "CNY",
        "deepseek-chat,deepseek-reasoner",
    ),
    ("阿里云百炼", 49, "default", 5, 3, 1, "1" * 20, 980, 38.44, None, "", "qwen-max,qwen-plus,qwen-turbo"),
    (
        "Gemini (AI Studio)",
        24,
        "default,vip",
        5,
        2,
        1,
        "11110111111011111110",
        3905,
        187.35,
        None,
        "",
        "gemini-2.5-pro,gemini-2.5-flash",
    ),
    (
        "OpenRouter fallback",
        20,
        "default",
        0,
        1,
        1,
        "1" * 20,
        1544,
        22.09,
        18.33,
        "USD",
        "gpt-5-mini,claude-sonnet-4-5,deepseek-chat,gemini-2.5-pro",
    ),
    ("SiliconFlow", 44, "default", 0, 1, 2, "1" * 20, 1190, 9.70, 36.20, "CNY", "deepseek-chat"),
    ("Ollama · gpu-01", 30, "lab", 0, 1, 1, "00", 402, 0.0, None, "", "qwen3:30b,llama3.3"),
)
# model, channel, share of requests, mean input, mean output, dollars in and out for a million tokens
MODELS = (
    ("claude-sonnet-4-5", 1, 12, 5200, 900, 3.0, 15.0),
    ("gemini-2.5-pro", 7, 8, 6100, 700, 1.25, 10.0),
    ("gpt-5-mini", 2, 30, 4200, 800, 0.25, 2.0),
    ("deepseek-chat", 5, 10, 4800, 900, 0.27, 1.1),
    ("qwen-max", 6, 4, 6200, 600, 1.6, 6.4),
    ("text-embedding-3-large", 2, 34, 900, 0, 0.13, 0.0),
)
PEOPLE = (
    ("li.wei", "李伟", "vip", 84.2),
    ("maria", "Maria Sánchez", "default", 12.6),
    ("kenji", "Kenji Ito", "default", 3.4),
    ("ci-bot", "CI", "vip", 41.0),
    ("sarah.k", "Sarah Klein", "svip", 240.0),
    ("intern", "", "default", 0.2),
)
KEYS = (("production-api", None), ("ci-evals", 50.0), ("notebook", 20.0), ("chat-frontend", 200.0), ("batch-embeddings", 5.0))


def furnish(path: Path, vendor: str = "http://127.0.0.1:9", *, seed: int = 7) -> None:
    """Fill the database of a fresh installation that runs, which notices within two seconds."""
    rng, now = random.Random(seed), int(time.time())
    engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": 20})
    with Session(engine) as session, session.begin():
        root = session.scalars(select(User).where(User.username == "root")).one()
        _channels(session, now, vendor)
        people = _people(session, now)
        keys = _keys(session, root.id, now, rng)
        owners = [(root.id, "root", key) for key in keys] + [(p.id, p.username, None) for p in people]
        spent = _hours(session, owners, now, rng)
        _logs(session, owners, now, rng)
        _money(session, root, people, now)
        for person in (root, *people):
            person.used_quota, person.request_count = spent.get(person.id, (0, 0))
        root.quota = int(186.42 * UNIT)
        for topic in version.TOPICS:
            version.bump(session, topic)
    engine.dispose()


def _channels(session: Session, now: int, vendor: str) -> None:
    session.execute(delete(Channel))
    for number, (name, kind, groups, priority, weight, status, tests, ms, used, left, currency, models) in enumerate(CHANNELS, 1):
        session.add(
            Channel(
                id=number,
                name=name,
                type=kind,
                group=groups,
                priority=priority,
                weight=weight,
                status=status,
                tests=tests,
                key="sk-demo",
                response_time=ms,
                used_quota=int(used * UNIT),
                balance=left or 0,
                balance_currency=currency,
                models=models,
                created_time=now - 90 * 86400,
                test_time=now - 240,
                balance_updated_time=now - 900 if left is not None else None,
                tag="prod" if number < 8 else "",
                base_url=vendor,
                status_reason="401 The security token included in the request is invalid." if status == 3 else None,
                status_time=now - 5400 if status == 3 else None,
            )
        )


def _people(session: Session, now: int) -> list[User]:
    made = [
        User(
            username=name,
            password="-",
            display_name=shown,
            group=group,
            quota=int(left * UNIT),
            email=f"{name}@example.com",
            role=10 if name == "maria" else 1,
            status=2 if name == "intern" else 1,
            created_time=now - 40 * 86400,
            aff_code=f"A{n:03}",
        )
        for n, (name, shown, group, left) in enumerate(PEOPLE)
    ]
    session.add_all(made)
    session.flush()
    return made


def _keys(session: Session, owner: int, now: int, rng: random.Random) -> list[Token]:
    session.execute(update(Token).where(Token.user_id == owner).values(name="browser", accessed_time=now - 40 * 86400))
    made = []
    for number, (name, limit) in enumerate(KEYS):
        key = "".join(rng.choices("abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789", k=48))
        used = (84.12, 31.40, 18.9, 12.04, 0.4)[number]
        made.append(
            Token(
                user_id=owner,
                key=key,
                name=name,
                created_time=now - 86400 * (50 - number),
                unlimited_quota=limit is None,
                accessed_time=now - (130, 3700, 90000, 60, 12 * 86400)[number],
                used_quota=int(used * UNIT),
                status=(1, 1, 1, 1, 2)[number],
                remain_quota=int(((limit or 0) - used) * UNIT) if limit else 0,
                expired_time=(-1, now + 5 * 86400, -1, now + 80 * 86400, -1)[number],
                models=("", "gpt-5-mini,deepseek-chat", "", "claude-sonnet-4-5", "text-embedding-3-large")[number],
                subnet=("", "10.0.0.0/8", "", "", "")[number],
            )
        )
    session.add_all(made)
    session.flush()
    return made


def _hours(session: Session, owners: list[Any], now: int, rng: random.Random) -> dict[int, tuple[int, int]]:
    """Roll-ups: more by day than by night, little at weekends, growing slowly."""
    session.execute(delete(Hour))
    spent: dict[int, tuple[int, int]] = {}
    first = now - now % HOUR - DAYS * 24 * HOUR
    for hour in range(first, now, HOUR):
        day, at = (hour // 86400 + 4) % 7, (hour % 86400) / HOUR
        busy = (
            (0.35 + 0.65 * math.exp(-((at - 9) ** 2) / 18))
            * (0.35 if day in (6, 0) else 1)
            * (0.7 + 0.5 * (hour - first) / (now - first))
        )
        busy *= 2.1 if hour // 86400 == now // 86400 - 10 else 1
        for model, channel, share, prompt, answer, cost_in, cost_out in MODELS:
            for owner, name, key in rng.sample(owners, 3):
                requests = int(share * busy * rng.uniform(0.2, 1.5) * (1 if name == "root" else 0.5))
                if not requests:
                    continue
                tokens_in, tokens_out = (
                    int(requests * prompt * rng.uniform(0.7, 1.3)),
                    int(requests * answer * rng.uniform(0.7, 1.3)),
                )
                quota = int((tokens_in * cost_in + tokens_out * cost_out) / 1e6 * UNIT)
                session.add(
                    Hour(
                        hour=hour,
                        user_id=owner,
                        token_id=key.id if key else 0,
                        channel_id=channel,
                        model_name=model,
                        requests=requests,
                        quota=quota,
                        prompt_tokens=tokens_in,
                        completion_tokens=tokens_out,
                        elapsed_time=requests * rng.randint(900, 5200),
                        errors=int(requests * rng.choice((0, 0, 0, 0.01, 0.04))),
                    )
                )
                before = spent.get(owner, (0, 0))
                spent[owner] = (before[0] + quota, before[1] + requests)
    return spent


def _logs(session: Session, owners: list[Any], now: int, rng: random.Random) -> None:
    session.execute(delete(Log))
    at, rows = now - 20 * HOUR, []
    while at < now - 20:
        at += rng.randint(8, 160)
        owner, name, key = rng.choice(owners)
        model, channel, _share, prompt, answer, cost_in, cost_out = rng.choices(MODELS, [m[2] for m in MODELS])[0]
        rows.append(_row(rng, at, owner, name, key, model, channel, prompt, answer, cost_in, cost_out))
        if rng.random() < 0.04:
            _fail(rng, rows[-1])
    rows.append(
        Log(user_id=owners[0][0], created_at=now - 700, type=1, username="root", content="通过兑换码充值 $20.00", quota=20 * UNIT)
    )
    rows.append(
        Log(
            user_id=owners[-1][0],
            created_at=now - 2500,
            type=3,
            username="intern",
            content="管理员将用户额度从 ＄1.000000 额度修改为 ＄0.200000 额度",
        )
    )
    session.add_all(sorted(rows, key=lambda row: row.created_at))


def _row(
    rng: random.Random,
    at: int,
    owner: int,
    name: str,
    key: Any,
    model: str,
    channel: int,
    prompt: int,
    answer: int,
    cost_in: float,
    cost_out: float,
) -> Log:
    stream = answer > 0 and rng.random() < 0.7
    used_in, used_out = int(prompt * rng.uniform(0.05, 1.9)), int(answer * rng.uniform(0.1, 2))
    cached = int(used_in * rng.choice((0, 0, 0.4)))
    ms = int(300 + used_out * rng.uniform(4, 14) + rng.expovariate(1 / 400))
    lines = [{"what": "prompt", "tokens": used_in - cached, "rate": cost_in / 2, "quota": (used_in - cached) * cost_in / 2}]
    if cached:
        lines.append({"what": "cached", "tokens": cached, "rate": cost_in / 20, "quota": cached * cost_in / 20})
    if used_out:
        lines.append({"what": "completion", "tokens": used_out, "rate": cost_out / 2, "quota": used_out * cost_out / 2})
    quota = math.ceil(sum(line["quota"] for line in lines))
    attempts = [{"channel": channel, "name": CHANNELS[channel - 1][0], "status": 200, "ms": ms - 20}]
    if rng.random() < 0.06:
        attempts.insert(0, {"channel": 8, "name": "OpenRouter fallback", "status": 429, "kind": "rate_limited", "ms": 212})
    detail = {
        "asked": model,
        "served": model,
        "end": "complete",
        "reserved": 500,
        "first_ms": int(ms * 0.14) if stream else None,
        "usage": {},
        "price": {"ratio": cost_in / 2, "completion": cost_out / cost_in, "group": 1},
        "lines": lines,
        "attempts": attempts,
    }
    stamp = time.strftime("%Y%m%d%H%M%S", time.gmtime(at))
    return Log(
        user_id=owner,
        created_at=at,
        type=2,
        username=name,
        token_name=key.name if key else "default",
        model_name=model,
        quota=quota,
        prompt_tokens=used_in,
        completion_tokens=used_out,
        channel_id=channel,
        request_id=f"{stamp}{rng.randrange(10**14):014}",
        elapsed_time=ms,
        is_stream=stream,
        detail=json.dumps(detail),
        content=f"倍率：{cost_in / 2:.2f} × 1.00 × {cost_out / cost_in:.2f}",
    )


def _fail(rng: random.Random, row: Log) -> None:
    """Make a request one that failed."""
    status, code, kind, text = rng.choice((
        (429, "rate_limit_exceeded", "rate_limited", "Rate limit reached for requests. Try again in 20 s."),
        (502, "vendor_error", "server", "The server had an error while processing your request."),
        (504, "vendor_timeout", "timeout", "The vendor did not answer in time."),
    ))  # fmt: skip
    attempts = [{"channel": row.channel_id, "name": CHANNELS[row.channel_id - 1][0], "status": 500, "kind": "server", "ms": 840}]
    attempts.append({"channel": 8, "name": "OpenRouter fallback", "status": status, "kind": kind, "ms": 1620})
    detail = {"asked": row.model_name, "served": row.model_name, "path": "/v1/chat/completions", "status": status, "code": code}
    row.type, row.content, row.detail = 6, text, json.dumps(detail | {"attempts": attempts})
    row.quota = row.prompt_tokens = row.completion_tokens = 0
    row.channel_id = 8


def _money(session: Session, root: User, people: list[User], now: int) -> None:
    session.execute(update(Entry).where(Entry.user_id == root.id).values(amount=100 * UNIT, created_at=now - 60 * 86400))
    moves = (
        (root, "topup", 400, "invoice 2026-113", 38),
        (root, "adjust", -5, "test traffic", 12),
        (root, "redeem", 20, "launch-2026", 0),
        (people[0], "topup", 100, "", 20),
        (people[1], "gift", 0.2, "welcome", 40),
    )
    for number, (person, kind, amount, note, days) in enumerate(moves):
        session.add(
            Entry(
                request_id=f"demo-{number}",
                created_at=now - days * 86400 - 700,
                kind=kind,
                user_id=person.id,
                amount=int(amount * UNIT),
                note=note,
            )
        )
