"""What the arguments of a client's constructor mean for where it goes and as whom."""

from __future__ import annotations

import json

import pytest

from funcx_core.errors import AuthRequired, ConfigError, NotConfigured, RemoteProtocolError, UsageError, VersionMismatch
from funcx_core.sdk.access import connection_for
from funcx_core.sdk.client import FuncXClient
from funcx_core.sdk.settings import Settings, save_credentials
from funcx_core.sdk.versions import are_different_machines, check_versions
from tests.unit.sdk.fake_service import TOKEN, FakeService

ADDRESS = "http://127.0.0.1:4711/v2"


class Tokens:
    """An authorizer whose first token is stale."""

    def __init__(self, *tokens):
        self.tokens = list(tokens)

    def get_authorization_header(self):
        return f"Bearer {self.tokens[0]}"

    def handle_missing_authorization(self):
        self.tokens.pop(0)
        return bool(self.tokens)


class LoginManager:
    def __init__(self, authorizer):
        self.authorizer = authorizer
        self.calls = []

    def ensure_logged_in(self):
        self.calls.append("in")

    def logout(self):
        self.calls.append("out")

    def get_funcx_web_client(self, *, base_url=None):
        self.base_url = base_url
        return self


@pytest.fixture
def service():
    with FakeService() as running:
        yield running


def test_the_positional_order_is_that_of_1_0_6():
    client = FuncXClient(9.0, None, False, None, "local", None, None, None, None, False, None, None, None)
    assert client.funcx_service_address == "http://localhost:5000/v2"


def test_an_authorizer_is_asked_for_each_request_and_renews_once(service):
    authorizer = Tokens("stale", TOKEN)
    with FuncXClient(funcx_service_address=service.settings.service_address, fx_authorizer=authorizer) as client:
        assert client.get_endpoints()
    assert authorizer.tokens == [TOKEN]


def test_an_authorizer_that_cannot_renew_is_an_error_of_authorization(service):
    with (
        FuncXClient(funcx_service_address=service.settings.service_address, fx_authorizer=Tokens("stale")) as client,
        pytest.raises(AuthRequired),
    ):
        client.get_endpoints()


def test_a_login_manager_gives_the_authorizer_and_signs_out(service):
    manager = LoginManager(Tokens(TOKEN))
    with FuncXClient(funcx_service_address=service.settings.service_address, login_manager=manager) as client:
        assert client.get_endpoints()
        client.logout()
    assert (manager.base_url, manager.calls) == (service.settings.service_address, ["out"])


def test_an_authorizer_needs_the_header_only():
    class Old:
        def get_authorization_header(self):
            return "Bearer old"

    settings = connection_for(address=ADDRESS, fx_authorizer=Old()).settings
    assert settings.headers == {"Authorization": "Bearer old"}
    assert settings.renew() is False


def test_a_login_manager_without_an_authorizer_is_told_what_to_return():
    class Bare:
        def get_funcx_web_client(self, *, base_url=None):
            return object()

    with pytest.raises(UsageError, match="returned a object without an authorizer"):
        connection_for(address=ADDRESS, login_manager=Bare())


def test_a_clients_login_manager_leaves_the_saved_token_alone():
    save_credentials(ADDRESS, "saved")
    FuncXClient(funcx_service_address=ADDRESS, login_manager=LoginManager(Tokens(TOKEN))).logout()
    assert FuncXClient(funcx_service_address=ADDRESS).settings.token == "saved"


def test_force_login_signs_in_again():
    manager = LoginManager(Tokens(TOKEN))
    FuncXClient(funcx_service_address=ADDRESS, login_manager=manager, force_login=True)
    assert manager.calls == ["out", "in"]


def test_two_ways_to_be_authorized_are_one_too_many():
    with pytest.raises(UsageError, match="one of"):
        connection_for(address=ADDRESS, token="t", fx_authorizer=Tokens("t"))


@pytest.mark.parametrize("name", ["openid_authorizer", "search_authorizer"])
def test_authorizers_that_are_not_needed_are_deprecated(name):
    with pytest.warns(DeprecationWarning, match=name):
        FuncXClient(funcx_service_address=ADDRESS, **{name: object()})


def test_tokens_are_looked_for_in_funcx_home(tmp_path):
    other = tmp_path / "other"
    other.mkdir(mode=0o700)
    (other / "credentials.json").write_text(json.dumps({ADDRESS: {"token": "saved"}}))
    (other / "credentials.json").chmod(0o600)
    (other / "service.json").write_text(json.dumps({"service_address": ADDRESS}))
    client = FuncXClient(funcx_home=other)
    assert (client.settings.service_address, client.settings.token) == (ADDRESS, "saved")
    client.logout()
    assert FuncXClient(funcx_home=str(other)).settings.token == ""
    with pytest.raises(NotConfigured):
        FuncXClient()


def test_a_funcx_home_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="is a file"):
        FuncXClient(funcx_home=tmp_path / "file")


def test_an_environment_that_is_gone_is_refused():
    with pytest.raises(ConfigError, match="hosted services are gone"):
        FuncXClient(environment="production")


def test_settings_do_not_show_their_token():
    assert "secret" not in repr(Settings(ADDRESS, "secret"))


def test_a_results_address_on_another_machine_is_warned_of():
    with pytest.warns(UserWarning, match="different machines"):
        FuncXClient(funcx_service_address=ADDRESS, results_ws_uri="wss://elsewhere.org/ws/v2/")
    FuncXClient(
        funcx_service_address=ADDRESS, results_ws_uri="wss://elsewhere.org/ws/v2/", warn_about_url_mismatch=False
    )
    FuncXClient(funcx_service_address=ADDRESS, results_ws_uri="ws://localhost:6000/v2", warn_about_url_mismatch=True)


@pytest.mark.parametrize(
    ("first", "second", "different"),
    [
        ("http://a.org/v2", "ws://a.org:6000/", False),
        ("http://a.org/v2", "ws://b.org/", True),
        ("http://127.0.0.1:1/v2", "ws://[::1]:2/", False),
        ("http://a.org/v2", "nonsense", True),
    ],
)
def test_which_addresses_are_of_one_machine(first, second, different):
    assert are_different_machines(first, second) is different


def test_the_version_is_checked_once_before_the_first_request(service):
    with FuncXClient(funcx_service_address=service.settings.service_address, token=TOKEN) as client:
        client.get_endpoints()
        client.get_endpoints()
    assert [path for _, path in service.requests].count("/v2/version") == 1


def test_a_service_that_wants_a_newer_version_is_a_mismatch_until_it_is_gone(service):
    service.versions["min_sdk_version"] = "999.0"
    with FuncXClient(funcx_service_address=service.settings.service_address, token=TOKEN) as client:
        for _ in range(2):
            with pytest.raises(VersionMismatch, match=r"takes 999\.0 and later.*pip install"):
                client.get_endpoints()
        service.versions["min_sdk_version"] = "0.0.1"
        assert client.get_endpoints()


def test_without_the_check_nothing_is_asked(service):
    service.versions["min_sdk_version"] = "999.0"
    address = service.settings.service_address
    with FuncXClient(funcx_service_address=address, token=TOKEN, do_version_check=False) as client:
        assert client.get_endpoints()
        with pytest.raises(VersionMismatch):
            client.version_check()
    assert [path for _, path in service.requests].count("/v2/version") == 1


def test_check_endpoint_version_compares_the_endpoint_software_too(service):
    service.versions["min_ep_version"] = "999.0"
    address = service.settings.service_address
    with (
        FuncXClient(funcx_service_address=address, token=TOKEN, check_endpoint_version=True) as client,
        pytest.raises(VersionMismatch, match="funcx-endpoint"),
    ):
        client.get_endpoints()


@pytest.mark.parametrize(
    ("mine", "oldest"), [("1.0", "1.0.0"), ("1.10.0", "1.9"), ("1.0.5a0", "1.0.5"), ("0.1.0", "0.0.1")]
)
def test_versions_that_are_new_enough(mine, oldest):
    check_versions({"min_sdk_version": oldest}, sdk_version=mine)


def test_versions_that_are_too_old_or_not_told():
    with pytest.raises(VersionMismatch):
        check_versions({"min_sdk_version": "1.10"}, sdk_version="1.9.9")
    for answer in ({}, "2.0", {"min_sdk_version": "new"}, {"min_sdk_version": 3}, None):
        with pytest.raises(RemoteProtocolError, match="does not say"):
            check_versions(answer)
