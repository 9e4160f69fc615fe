"""Where customers may send us, and where not."""

import socket
from typing import Any

import pytest

from billing_platform import outside
from billing_platform.outside import AddressRefused, OutsideFailed, check_url, is_allowed, judged_target


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.1", "10.1.2.3", "100.64.0.1", "127.0.0.1", "127.255.0.1", "169.254.169.254", "172.16.0.1", "192.0.0.1",
        "192.168.1.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "192.0.2.1", "203.0.113.9",
        "::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "64:ff9b::7f00:1", "64:ff9b:1::1", "2001::1",
        "2002:7f00:1::", "fc00::1", "fd12::1", "fe80::1", "fe80::1%eth0", "ff02::1", "2001:db8::1",
    ],
)  # fmt: skip
def test_private_and_special_addresses_are_refused(address: str) -> None:
    assert not is_allowed(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "114.114.114.114", "2400:3200::1", "2606:4700::1111"])
def test_public_addresses_are_allowed(address: str) -> None:
    assert is_allowed(address)


def test_the_operator_may_make_an_exception() -> None:
    assert is_allowed("10.1.2.3", exceptions=["10.1.0.0/16"])
    assert not is_allowed("10.2.2.3", exceptions=["10.1.0.0/16"])


@pytest.mark.parametrize(
    "url",
    [
        "", "nonsense", "ftp://example.com/", "file:///etc/passwd", "gopher://example.com/", "//example.com/",
        "https://", "https:///path", "https://user:pass@example.com/", "https://example.com@127.0.0.1/",
        "https://example.com/#@127.0.0.1", "https://example.com:99999/", "https://example.com:0/",
        "https://exa mple.com/",
        "https://example.com\\@127.0.0.1/", "https://example.com/\r\nHost: x", "https://例子.com/", "https://[::1",
        "https://example.com/" + "x" * 500,
    ],
)  # fmt: skip
def test_texts_that_are_not_plain_addresses_are_refused(url: str) -> None:
    with pytest.raises(AddressRefused):
        check_url(url)


@pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "0177.0.0.1", "127.1", "0", "localhost", "[::1]"])
def test_the_resolved_address_is_judged_not_the_text(host: str) -> None:
    with pytest.raises((AddressRefused, OutsideFailed)):
        judged_target(f"https://{host}/")


def resolving(*addresses: str) -> Any:
    def resolve(_host: str, port: int, **_options: object) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    return resolve


def test_one_private_address_among_public_ones_refuses_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outside.socket, "getaddrinfo", resolving("8.8.8.8", "10.0.0.1"))

    with pytest.raises(AddressRefused):
        judged_target("https://rebind.example/")


@pytest.mark.parametrize(
    "url",
    [
        "http://public.example/",
        "https://public.example:22/",
        "https://public.example:5432/",
        "https://public.example:6379/",
    ],
)
def test_public_places_need_https_and_a_web_port(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setattr(outside.socket, "getaddrinfo", resolving("8.8.8.8"))

    with pytest.raises(AddressRefused):
        judged_target(url)


def test_the_connection_goes_to_the_judged_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outside.socket, "getaddrinfo", resolving("8.8.8.8", "8.8.4.4"))

    target = judged_target("https://public.example:8443/hook?x=1")

    assert (target.address, target.port, target.url.hostname) == ("8.8.8.8", 8443, "public.example")


def test_a_name_that_does_not_resolve_is_a_failure_of_the_other_side() -> None:
    with pytest.raises(OutsideFailed) as failure:
        judged_target("https://name.invalid/")

    assert failure.value.fields == {"reason": "connect"}
