"""One's own account through the API."""

import pytest

from oneapi.models import rollup, user

DAY = 86400


def test_oneself(as_, alice):
    me = as_(alice).data("GET", "/api/user/self/")
    assert (me["id"], me["username"], me["password"], me["quota"], me["group"]) == (alice.id, "alice", "", 10**9, "default")
    assert "access_token" not in me


@pytest.mark.parametrize(
    "body, message",
    [
        ({"username": "a" * 13}, "输入不合法 username 过长或不符合要求"),
        ({"display_name": "a" * 21}, "输入不合法 display_name 过长或不符合要求"),
        ({"password": "short"}, "输入不合法 password 过长或不符合要求"),
        ({"username": "bob"}, "用户名已被占用"),
        ({"username": []}, "无效的参数"),
    ],
)
def test_bad_changes(as_, alice, bob, body, message):
    assert as_(alice).refused("PUT", "/api/user/self", body) == message


def test_empty_values_stay(as_, alice):
    as_(alice).data("PUT", "/api/user/self", {"username": "", "display_name": "Alice A.", "password": ""})
    me = as_(alice).data("GET", "/api/user/self")
    assert (me["username"], me["display_name"]) == ("alice", "Alice A.")
    assert as_()("POST", "/api/user/login", {"username": "alice", "password": alice.password})["success"]


def test_nobody_writes_their_own_role_or_quota(as_, alice):
    as_(alice).data("PUT", "/api/user/self", {"role": 100, "quota": 5, "group": "vip", "display_name": "x"})
    me = as_(alice).data("GET", "/api/user/self")
    assert (me["role"], me["quota"], me["group"]) == (1, 10**9, "default")


def test_a_new_access_token_replaces_the_old_one_and_is_kept_as_a_digest(as_, alice, state):
    token = as_(alice).data("GET", "/api/user/token")
    assert len(token) == 32 and int(token, 16)
    assert as_(alice).refused("GET", "/api/user/self") == "无权进行此操作，access token 无效"
    alice.token = token
    assert as_(alice).data("GET", "/api/user/self")["id"] == alice.id
    with state.databases.transaction() as session:
        row = session.get(user.User, alice.id)
    assert row.access_token is None and token not in (row.access_token_hash or "")


def test_an_invitation_code_is_made_once(as_, person):
    alone = person("zoe")
    first = as_(alone).data("GET", "/api/user/aff")
    assert first and as_(alone).data("GET", "/api/user/aff/") == first


def test_an_account_without_a_code_gets_four_characters(as_, alice, state):
    with state.databases.transaction() as session:
        session.get(user.User, alice.id).aff_code = None
    code = as_(alice).data("GET", "/api/user/aff")
    assert len(code) == 4 and code.isalnum()


def test_closing_one_s_account(as_, alice, root, put, state):
    assert as_(root).refused("DELETE", "/api/user/self") == "不能删除超级管理员账户"
    put(SelfDeletionEnabled="false")
    assert as_(alice).refused("DELETE", "/api/user/self") == "管理员关闭了自助删除账户"
    put(SelfDeletionEnabled="true")
    as_(alice).data("DELETE", "/api/user/self")
    assert as_(alice).refused("GET", "/api/user/self") == "无权进行此操作，access token 无效"
    assert state.caller(alice.key) is None


def test_the_models_of_one_s_group(as_, alice, person, channel):
    channel(models="b,a", group="default")
    channel(models="c", group="vip")
    assert as_(alice).data("GET", "/api/user/available_models") == ["a", "b"]
    assert as_(person("vip", group="vip")).data("GET", "/api/user/available_models") == ["c"]
    assert as_(person("lost", group="nowhere")).data("GET", "/api/user/available_models") == []


@pytest.fixture
def used(state, alice, bob):
    """Some hours of use: today, six and seven days ago, and somebody else's."""
    today = int(state.clock()) // DAY * DAY
    with state.databases.transaction() as session:
        for user_id, hour, model, channel_id in (
            (alice.id, today, "gpt-4o", 1), (alice.id, today, "gpt-4o", 2), (alice.id, today, "claude", 1),
            (alice.id, today - 6 * DAY, "gpt-4o", 1), (alice.id, today - 7 * DAY, "gpt-4o", 1), (bob.id, today, "gpt-4o", 1),
        ):  # fmt: skip
            session.add(
                rollup.Hour(
                    hour=hour, user_id=user_id, token_id=1, channel_id=channel_id, model_name=model, requests=2, quota=10,
                    prompt_tokens=3, completion_tokens=4, elapsed_time=5,
                )
            )  # fmt: skip
    return today


def test_the_dashboard_shows_seven_days_in_its_old_words(as_, alice, used):
    rows = as_(alice).data("GET", "/api/user/dashboard/")
    assert [(row["ModelName"], row["RequestCount"], row["Quota"]) for row in rows] == [
        ("gpt-4o", 2, 10), ("claude", 2, 10), ("gpt-4o", 4, 20),
    ]  # fmt: skip
    assert set(rows[0]) == {"Day", "ModelName", "RequestCount", "Quota", "PromptTokens", "CompletionTokens"}
    assert rows[0]["Day"] < rows[1]["Day"] == rows[2]["Day"] and len(rows[0]["Day"]) == 10


def test_usage_sums_what_was_asked_for(as_, alice, bob, used):
    said = as_(alice).data("GET", f"/api/usage?start_timestamp={used - 30 * DAY}&end_timestamp={used}")
    assert said["total"] == {"requests": 10, "quota": 50, "prompt_tokens": 15, "completion_tokens": 20}
    assert len(said["days"]) == 4
    assert as_(bob).data("GET", "/api/usage")["total"]["requests"] == 2
    assert as_(alice).refused("GET", f"/api/usage?start_timestamp={used}&end_timestamp=5") == "无效的参数"
