"""Signature Version 4 gives the signatures that AWS published."""

from calendar import timegm

import pytest

from oneapi.vendors import sigv4

KEYS = sigv4.Keys("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
THEN = timegm((2015, 8, 30, 12, 36, 0))
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
# From the test suite that AWS publishes with its SDKs (aws-sig-v4-test-suite) and from the worked example of the IAM guide.
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
PUBLISHED = [
    ("get-vanilla", "GET", "/", {}, b"", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
    ("post-vanilla", "POST", "/", {}, b"", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
    ("get-vanilla-query-order-key-case", "GET", "/?Param2=value2&Param1=value1", {}, b"",
     "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"),
    ("post-x-www-form-urlencoded", "POST", "/", FORM, b"Param1=value1",
     "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("method", "path", "headers", "body", "signature"), [case[1:] for case in PUBLISHED], ids=[case[0] for case in PUBLISHED]
)
def test_a_published_request_gets_its_published_signature(
    method: str, path: str, headers: dict[str, str], body: bytes, signature: str
) -> None:
    url = "https://example.amazonaws.com" + path
    found = sigv4.signed(method, url, headers, body, KEYS, region="us-east-1", service="service", now=THEN)
    assert found["X-Amz-Date"] == "20150830T123600Z"
    assert found["Authorization"].endswith(f"Signature={signature}")


def test_the_worked_example_of_the_guide() -> None:
    url = "https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08"
    headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
    found = sigv4.signed("GET", url, headers, b"", KEYS, region="us-east-1", service="iam", now=THEN)
    assert found["Authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, "
        "SignedHeaders=content-type;host;x-amz-date, "
        "Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
    )


def test_the_path_of_a_bedrock_model_is_encoded_twice() -> None:
    url = "https://bedrock-runtime.us-east-1.amazonaws.com/model/anthropic.claude-3-haiku-20240307-v1%3A0/invoke"
    said = b'"messages":[{"role":"user","content":[{"type":"text","text":"hi"}]}]'
    body = b'{"anthropic_version":"bedrock-2023-05-31","max_tokens":16,' + said + b"}"
    headers = {"content-type": "application/json"}
    found = sigv4.signed("POST", url, headers, body, KEYS, region="us-east-1", service="bedrock", now=1700000000)
    assert found["Authorization"].endswith("Signature=127cf705258e17d4c44f2ef99fc9dba85172135d0bda4ac62116e455aedd8af2")
