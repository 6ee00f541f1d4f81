from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from hpo.errors import UserError
from hpo.reporting.dashboard.login import Login, Throttle, checked_token, new_token

TOKEN = "a token that is known to one"
LINK = "a%20token%20that%20is%20known%20to%20one"
Ask = Callable[..., Any]


def page(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [])
    return [b"secret " + environ["QUERY_STRING"].encode()]


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def app(clock: Clock) -> Login:
    return Login(page, TOKEN, Throttle(clock=clock))


def cookie_of(answer: Any) -> str:
    return str(answer.headers["Set-Cookie"]).partition(";")[0]


def test_login_by_link_redirects_without_the_token(app: Login, ask: Ask) -> None:
    answer = ask(app, f"/dashboard/studies/1?a=1&token={LINK}&b=%26")
    assert (answer.status, answer.headers["Location"]) == (303, "/dashboard/studies/1?a=1&b=%26")
    assert answer.headers["Set-Cookie"].endswith("; Path=/; HttpOnly; SameSite=Lax")
    assert TOKEN not in answer.headers["Set-Cookie"]
    assert ask(app, "/api?x=1", HTTP_COOKIE=f"a={{odd; {cookie_of(answer)}").body == b"secret x=1"


def test_login_cookie_is_secure_behind_https_and_one_per_port(app: Login, ask: Ask) -> None:
    secure = ask(app, f"/?token={LINK}", **{"wsgi.url_scheme": "https", "SERVER_PORT": "443"})
    assert secure.headers["Set-Cookie"].endswith("; Secure")
    assert ask(app, "/", HTTP_COOKIE=cookie_of(secure), SERVER_PORT="8080").status == 401


@pytest.mark.parametrize("path", ["//evil.example/x", "/\\evil.example", "/\r\nX: y"])
def test_login_by_link_never_redirects_to_another_host(app: Login, ask: Ask, path: str) -> None:
    to = ask(app, f"{path}?token={LINK}").headers["Location"]
    assert to[0] == "/" and to[1] not in "/\\" and "\n" not in to


def test_login_accepts_the_token_as_bearer(app: Login, ask: Ask) -> None:
    assert ask(app, "/", HTTP_AUTHORIZATION=f"Bearer {TOKEN}").body == b"secret "
    assert ask(app, "/", HTTP_AUTHORIZATION="Bearer another").status == 401
    assert ask(app, "/", HTTP_AUTHORIZATION=f"Basic {TOKEN}").status == 401


@pytest.mark.parametrize("query", ["", "?token=", "?token=%00%FF", f"?token={LINK}x"])
def test_login_refuses_wrong_tokens_and_cookies(app: Login, ask: Ask, query: str) -> None:
    answer = ask(app, f"/{query}", HTTP_COOKIE="hpo-dashboard-80=; hpo-dashboard-80=x\xe9; x")
    assert answer.status == 401
    assert b"secret" not in answer.body


def test_login_shows_a_form_to_a_browser(app: Login, ask: Ask) -> None:
    answer = ask(app, "/", HTTP_ACCEPT="text/html,*/*")
    assert answer.status == 401
    assert b'<input name="token" type="password"' in answer.body


def test_login_checks_ten_of_a_thousand_wrong_tokens(app: Login, ask: Ask, clock: Clock) -> None:
    answers = Counter(ask(app, f"/?token=wrong-{i}").status for i in range(1000))
    assert answers == {401: 10, 429: 990}
    # Not even the right one is checked.
    refused = ask(app, f"/?token={LINK}")
    assert (refused.status, refused.headers["Retry-After"]) == (429, "7")
    assert ask(app, f"/?token={LINK}", REMOTE_ADDR="192.0.2.8").status == 303
    clock.now += 6.5
    assert ask(app, f"/?token={LINK}").status == 303


def test_login_cookie_works_while_others_guess(app: Login, ask: Ask) -> None:
    cookie = cookie_of(ask(app, f"/?token={LINK}"))
    for i in range(20):
        ask(app, f"/?token=wrong-{i}")
    assert ask(app, "/", HTTP_COOKIE=cookie).status == 200
    assert ask(app, "/?token=old", HTTP_COOKIE=cookie).status == 303


def test_login_does_not_count_old_cookies_as_guesses(app: Login, ask: Ask) -> None:
    """An open window sends a request every few seconds, also after the server restarted."""
    statuses = {ask(app, "/", HTTP_COOKIE="hpo-dashboard-80=old").status for _ in range(100)}
    assert statuses == {401}
    assert ask(app, f"/?token={LINK}").status == 303


@pytest.mark.parametrize(
    ("address", "neighbor", "seconds"),
    [
        ("2001:db8::1", "2001:db8::ffff", 6.0),
        ("2001:db8::1", "2001:db8:0:1::1", 0.0),
        ("fe80::1%eth0", "fe80::2%eth0", 6.0),
        ("192.0.2.1", "192.0.2.2", 0.0),
        ("192.0.2.1:5000", "192.0.2.1:5000", 6.0),
        ("", "", 6.0),
    ],
)
def test_throttle_counts_a_network_of_ipv6_as_one(
    clock: Clock, address: str, neighbor: str, seconds: float
) -> None:
    throttle = Throttle(guesses=1, clock=clock)
    throttle.count_wrong(address)
    assert throttle.wait(neighbor) == seconds


def test_throttle_forgets_addresses_that_may_guess_again(clock: Clock) -> None:
    throttle = Throttle(guesses=1, clock=clock)
    for number in range(100):
        throttle.count_wrong(f"192.0.2.{number}")
    assert len(throttle._free_at) == 100
    clock.now += 6.0
    throttle.count_wrong("198.51.100.1")
    assert list(throttle._free_at) == ["198.51.100.1"]


@pytest.mark.parametrize(
    ("token", "wrong"),
    [
        ("short", "5 characters: use at least 16"),
        ("sixteen and a bï", "ASCII"),
        ("x" * 16 + " ", "ASCII"),
    ],
)
def test_checked_token_refuses_a_weak_token(token: str, wrong: str) -> None:
    with pytest.raises(UserError, match=wrong):
        checked_token(token)


def test_new_token_has_256_bits() -> None:
    tokens = {checked_token(new_token()) for _ in range(100)}
    assert len(tokens) == 100
    assert min(map(len, tokens)) >= 43  # 256 bits
