"""Channels through the API."""

import json

import pytest

from oneapi import jobs, notify
from oneapi.models import ability, audit
from oneapi.models.channel import Channel, Status

NEW = {"type": 1, "name": "new", "key": "sk-1", "models": "gpt-4o, gpt-4o-mini,gpt-4o", "group": "default,vip"}


def abilities(state):
    with state.databases.transaction() as session:
        rows = session.query(ability.Ability).order_by(ability.Ability.channel_id, ability.Ability.group, ability.Ability.model)
        return [(row.channel_id, row.group, row.model, row.enabled) for row in rows]


def stored(state, id):
    with state.databases.transaction() as session:
        return session.get(Channel, id)


def test_a_channel_for_every_line_of_the_key(as_, admin, state):
    as_(admin).data("POST", "/api/channel/", NEW | {"key": "sk-1\n\n  sk-2 \n"})
    rows = as_(admin).data("GET", "/api/channel/")
    assert [(row["id"], row["key"], row["models"], row["group"]) for row in rows] == [
        (2, "", "gpt-4o,gpt-4o-mini", "default,vip"), (1, "", "gpt-4o,gpt-4o-mini", "default,vip"),
    ]  # fmt: skip
    assert [stored(state, id).key for id in (1, 2)] == ["sk-1", "sk-2"]
    assert abilities(state) == [
        (id, group, model, True) for id in (1, 2) for group in ("default", "vip") for model in ("gpt-4o", "gpt-4o-mini")
    ]
    assert set(state.snapshot.lanes) == {1, 2}, "this process uses them at once"


def test_zero_status_means_enabled(as_, admin):
    as_(admin).data("POST", "/api/channel/", NEW | {"status": 0})
    assert as_(admin).data("GET", "/api/channel/1")["status"] == 1


@pytest.mark.parametrize(
    "change, message",
    [
        ({"key": " \n "}, "渠道密钥不能为空"),
        ({"type": 9999}, "未知的渠道类型 9999"),
        ({"type": "1"}, "无效的参数：type 应为整数"),
        ({"model_mapping": "[1]"}, "model_mapping 必须是 JSON 对象"),
        ({"config": "{"}, "config 必须是 JSON 对象"),
        ({"base_url": "ftp://x"}, "base_url 必须以 http:// 或 https:// 开头"),
        ({"type": 50}, "该渠道类型必须填写 base_url"),
        ({"name": "x" * 192}, "name：≤ 191"),
        ({"weight": -1}, "weight：≥ 0"),
        ({"priority": 2**63}, "无效的参数：priority 应为整数"),
    ],
)
def test_what_cannot_work_is_not_stored(as_, admin, change, message):
    assert as_(admin).refused("POST", "/api/channel/", NEW | change) == message
    assert as_(admin).data("GET", "/api/channel/") == []


def test_private_addresses_can_be_refused(as_, admin, put):
    put(PrivateNetworksEnabled="false")
    for url in ("http://localhost:11434", "http://10.1.2.3", "http://[::1]:1", "http://ollama.internal"):
        assert as_(admin).refused("POST", "/api/channel/", NEW | {"base_url": url}) == "不允许使用内网地址的渠道"
    as_(admin).data("POST", "/api/channel/", NEW | {"base_url": "https://api.example.com"})


@pytest.mark.parametrize(("type", "policy"), [(1, "refuse"), (30, "free"), (8, "free")])
def test_saving_a_channel_names_the_models_without_a_price(as_, admin, type, policy):
    new = NEW | {"type": type, "models": "gpt-4o,brand-new", "base_url": "http://192.168.1.7:8080"}
    answer = as_(admin).raw("POST", "/api/channel/", new).get_json()
    unpriced = ["gpt-4o", "brand-new"] if type == 30 else ["brand-new"]  # Ollama's models run there, whatever their name
    assert answer == {"success": True, "message": "", "unpriced_models": unpriced, "unpriced_policy": policy}
    answer = as_(admin).raw("PUT", "/api/channel/", {"id": 1, "name": "other"}).get_json()
    assert (answer["unpriced_models"], answer["unpriced_policy"]) == (unpriced, policy)
    answer = as_(admin).raw("PUT", "/api/channel/", {"id": 1, "type": 1, "models": "gpt-4o"}).get_json()
    assert "unpriced_models" not in answer and "unpriced_policy" not in answer


def test_lists_are_paged_from_zero_and_say_how_many_there_are(as_, admin):
    as_(admin).data("POST", "/api/channel/", NEW | {"key": "\n".join(f"sk-{n}" for n in range(12))})
    first, second = (as_(admin).raw("GET", f"/api/channel/?p={p}") for p in (0, 1))
    assert [len(a.get_json()["data"]) for a in (first, second)] == [10, 2]
    assert first.headers["X-Total-Count"] == "12" and first.get_json()["data"][0]["id"] == 12
    assert len(as_(admin).data("GET", "/api/channel/?page_size=50")) == 12
    for odd in ("-1", "x", "99999999999999999999"):
        assert len(as_(admin).data("GET", f"/api/channel/?p={odd}")) == 10


def test_search_finds_an_id_or_the_beginning_of_a_name(as_, admin):
    for name in ("alpha", "a%b", "beta"):
        as_(admin).data("POST", "/api/channel/", NEW | {"name": name})
    names = lambda keyword: [row["name"] for row in as_(admin).data("GET", f"/api/channel/search?keyword={keyword}")]  # noqa: E731
    assert names("al") == ["alpha"] and names("3") == ["beta"] and names("a%25") == ["a%b"] and names("lpha") == []


def test_a_change_names_what_changes(as_, admin, root, state):
    as_(admin).data("POST", "/api/channel/", NEW | {"priority": 5, "base_url": "https://a.example", "system_prompt": "s"})
    shown = as_(root).data(
        "PUT", "/api/channel/", {"id": 1, "name": "renamed", "models": "gpt-4o", "priority": 0, "base_url": ""}
    )
    assert (shown["name"], shown["models"], shown["priority"], shown["base_url"], shown["system_prompt"]) == (
        "renamed",
        "gpt-4o",
        0,
        "",
        "s",
    )
    assert shown["key"] == "" and "sk-1" not in json.dumps(shown)
    assert stored(state, 1).key == "sk-1"
    assert len(abilities(state)) == 2
    as_(admin).data("PUT", "/api/channel/", {"id": 1, "key": "sk-new", "name": "", "status": 0})
    assert (stored(state, 1).key, stored(state, 1).name, stored(state, 1).status) == ("sk-new", "renamed", 1)


def test_disabling_by_hand_takes_a_channel_out_of_use(as_, admin, state):
    as_(admin).data("POST", "/api/channel/", NEW)
    as_(admin).data("PUT", "/api/channel/", {"id": 1, "status": 2})
    assert {row[3] for row in abilities(state)} == {False}
    assert state.snapshot.candidates == {}
    assert as_(admin).refused("PUT", "/api/channel/", {"id": 1, "status": 3}) == "无效的渠道状态 3"


def test_measured_columns_cannot_be_written(as_, admin):
    as_(admin).data("POST", "/api/channel/", NEW | {"used_quota": 5, "balance": 7.5, "id": 77})
    shown = as_(admin).data("PUT", "/api/channel/", {"id": 1, "used_quota": 9, "balance": 1.5})
    assert (shown["id"], shown["used_quota"], shown["balance"]) == (1, 0, 0)


@pytest.mark.parametrize("body, message", [({"name": "x"}, "id 为空！"), ({"id": 404, "name": "x"}, "record not found")])
def test_a_change_needs_a_channel(as_, admin, body, message):
    assert as_(admin).refused("PUT", "/api/channel/", body) == message


@pytest.mark.parametrize("id, message", [("404", "record not found"), ("x", "无效的参数"), (str(2**63), "无效的参数")])
def test_an_unknown_channel(as_, admin, id, message):
    for path in (
        f"/api/channel/{id}",
        f"/api/channel/test/{id}",
        f"/api/channel/update_balance/{id}",
        f"/api/channel/fetch_models/{id}/",
    ):
        assert as_(admin).refused("GET", path) == message


def test_secrets_in_the_config_are_not_shown_and_survive_a_change(as_, admin, root, state):
    config = {"ak": "AKIA", "sk": "hidden", "region": "us-east-1"}
    as_(admin).data("POST", "/api/channel/", NEW | {"type": 33, "key": "", "config": json.dumps(config)})
    shown = as_(admin).data("GET", "/api/channel/1")
    assert json.loads(shown["config"]) == {"region": "us-east-1"}
    as_(root).data("PUT", "/api/channel/", shown | {"config": json.dumps({"region": "eu-west-1"})})
    assert stored(state, 1).settings() == config | {"region": "eu-west-1"}
    as_(admin).data("PUT", "/api/channel/", {"id": 1, "config": json.dumps({"region": "eu-west-1", "sk": ""})})
    assert stored(state, 1).settings() == {"ak": "AKIA", "sk": "", "region": "eu-west-1"}


def test_deleting_takes_the_abilities_along(as_, admin, state):
    as_(admin).data("POST", "/api/channel/", NEW | {"key": "a\nb\nc"})
    as_(admin).data("DELETE", "/api/channel/1/")
    as_(admin).data("DELETE", "/api/channel/404")
    as_(admin).data("PUT", "/api/channel/", {"id": 2, "status": 2})
    assert as_(admin).data("DELETE", "/api/channel/disabled") == 1
    assert {row[0] for row in abilities(state)} == {3} and set(state.snapshot.lanes) == {3}
    as_(admin).data("POST", "/api/channel/", NEW)
    assert as_(admin).data("GET", "/api/channel/")[0]["id"] == 4, "ids are never used again"


def test_the_catalogue_speaks_openai(as_, admin):
    said = as_(admin)("GET", "/api/channel/models")
    assert said["object"] == "list" and {"gpt-4o", "claude-3-5-sonnet-20240620"} <= {model["id"] for model in said["data"]}


def test_testing_one_channel(as_, admin, channel, vendor, state):
    id = channel(models="gpt-4o")
    said = as_(admin)("GET", f"/api/channel/test/{id}?model=gpt-4o")
    assert said["success"] and said["modelName"] == "gpt-4o" and said["time"] >= 0 and said["message"] == "Hello!"
    assert stored(state, id).test_time and stored(state, id).response_time is not None
    [entry] = as_(admin).data("GET", "/api/log/?type=5")
    assert entry["content"] == "渠道 fake 测试成功，响应：Hello!" and entry["channel"] == id


def test_a_failing_test_says_why_and_changes_no_status(as_, admin, channel, vendor, state, put):
    put(AutomaticDisableChannelEnabled="true")
    vendor.says({"error": {"message": "no such key", "code": "invalid_api_key"}}, status=401)
    id = channel()
    said = as_(admin)("GET", f"/api/channel/test/{id}/")
    assert (said["success"], said["time"]) == (False, 0) and "no such key" in said["message"]
    assert stored(state, id).status == Status.ENABLED


def test_testing_all_runs_once_at_a_time(as_, admin, channel, vendor, state):
    for _ in range(3):
        channel()
    as_(admin).data("GET", "/api/channel/test")
    assert as_(admin).refused("GET", "/api/channel/test/?scope=disabled") == "测试已在运行中"
    jobs.stop()
    as_(admin).data("GET", "/api/channel/test")
    jobs.wait()
    assert all(stored(state, id).test_time for id in (1, 2, 3))
    notify.drain()


def test_balances(as_, admin, channel, vendor, state):
    vendor.says({"hard_limit_usd": 10, "has_payment_method": True})
    vendor.says({"total_usage": 250})
    id = channel()
    said = as_(admin)("GET", f"/api/channel/update_balance/{id}")
    assert said == {"success": True, "message": "", "balance": 7.5}
    assert stored(state, id).balance == 7.5 and stored(state, id).balance_updated_time
    said = as_(admin)("GET", f"/api/channel/update_balance/{channel(type=3)}")
    assert not said["success"] and "尚未实现" in said["message"]


def test_all_balances_are_asked_aside(as_, admin, channel, vendor, state):
    vendor.says({"hard_limit_usd": 10, "has_payment_method": True})
    vendor.says({"total_usage": 0})
    id = channel()
    as_(admin).data("GET", "/api/channel/update_balance")
    jobs.wait()
    assert stored(state, id).balance == 10


def test_the_models_of_a_key_are_asked_from_the_vendor(as_, admin, channel, vendor):
    vendor.says({"object": "list", "data": [{"id": "b"}, {"id": "a"}]})
    assert as_(admin).data("GET", f"/api/channel/fetch_models/{channel()}") == ["a", "b"]


def test_changes_are_written_down_without_secrets(as_, admin, root):
    as_(admin).data("POST", "/api/channel/", NEW)
    as_(admin).data("PUT", "/api/channel/", {"id": 1, "name": "renamed", "key": "sk-very-secret"})
    as_(admin).data("DELETE", "/api/channel/1")
    rows = as_(root).data("GET", "/api/audit/?noun=channel")
    assert [(row["action"], row["noun_id"], row["actor_name"]) for row in rows] == [
        ("channel.delete", "1", "admin"), ("channel.update", "1", "admin"), ("channel.create", "1", "admin"),
    ]  # fmt: skip
    assert rows[1]["difference"] == {"name": ["new", "renamed"], "key": ["(hidden)", "(hidden)"]}
    assert "sk-" not in json.dumps(rows)


# A stored key goes only to the address it was stored for

BEDROCK = {"type": 33, "name": "aws", "models": "m", "config": json.dumps({"ak": "a", "sk": "s", "region": "us-east-1"})}
MOVES = [
    (NEW, {"base_url": "https://evil.example"}),
    (NEW | {"base_url": "https://a.example/v1"}, {"base_url": "https://a.example.evil.example/v1"}),
    (NEW | {"base_url": "https://a.example"}, {"base_url": "http://a.example"}),
    (NEW | {"base_url": "https://a.example"}, {"base_url": ""}),
    (NEW, {"type": 36}),
    (NEW, {"config": '{"proxy": "http://evil.example:8080"}'}),
    (NEW, {"config": '{"some_new_address": "evil.example"}'}),
    (BEDROCK, {"config": '{"region": "evil.example/#"}'}),
    (BEDROCK, {"config": '{"ak": "a", "region": "eu-west-1"}'}),
]


@pytest.mark.parametrize(("old", "change"), MOVES)
def test_an_administrator_changes_an_address_only_with_the_key(as_, admin, root, state, old, change):
    as_(root).data("POST", "/api/channel/", old)
    before = stored(state, 1)
    assert as_(admin).refused("PUT", "/api/channel/", {"id": 1} | change).startswith("已保存的密钥只能发往其原来的地址")
    assert (stored(state, 1).base_url, stored(state, 1).type, stored(state, 1).config) == (
        before.base_url, before.type, before.config,
    )  # fmt: skip
    credentials = {"key": "sk-2"}
    if old is BEDROCK:
        credentials = {"config": json.dumps(json.loads(change["config"]) | {"ak": "b", "sk": "t", "region": "eu-west-1"})}
    as_(admin).data("PUT", "/api/channel/", {"id": 1} | change | credentials)


@pytest.mark.parametrize(("old", "change"), MOVES)
def test_root_changes_an_address_without_the_key(as_, root, state, old, change):
    as_(root).data("POST", "/api/channel/", old)
    as_(root).data("PUT", "/api/channel/", {"id": 1} | change)


@pytest.mark.parametrize(
    "change",
    [
        {"name": "renamed"}, {"models": "gpt-4o"}, {"base_url": "https://api.openai.com/"}, {"type": 1}, {"config": "{}"},
        {"config": '{"proxy": "", "api_version": "v2"}'}, {"status": 2}, {"other": "x"}, {"model_mapping": '{"a": "b"}'},
    ],
)  # fmt: skip
def test_what_leaves_the_address_alone_needs_no_key(as_, admin, change):
    as_(admin).data("POST", "/api/channel/", NEW)
    as_(admin).data("PUT", "/api/channel/", {"id": 1} | change)


def test_a_channel_without_a_key_moves_freely(as_, admin):
    as_(admin).data("POST", "/api/channel/", {"type": 30, "name": "own", "models": "m", "base_url": "http://a.example"})
    as_(admin).data("PUT", "/api/channel/", {"id": 1, "base_url": "http://b.example"})


def test_who_fetches_models_is_written_down(as_, admin, channel, vendor, state):
    vendor.says({"object": "list", "data": [{"id": "b"}]})
    as_(admin).data("POST", f"/api/channel/fetch_models/{channel()}")
    with state.databases.transaction() as session:
        [row] = session.query(audit.Audit).filter_by(action="channel.fetch_models")
        assert row.actor_name == "admin" and vendor.url in row.difference
