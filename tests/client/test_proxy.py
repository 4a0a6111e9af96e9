import pytest

from client.proxy import read_proxy


def test_a_proxy_with_a_user() -> None:
    proxy = read_proxy("http://a:b%20c@proxy.example.org:3128/")
    assert (proxy.tls, proxy.address, proxy.url) == (
        False,
        "proxy.example.org:3128",
        "http://a:b%20c@proxy.example.org:3128",
    )
    assert proxy.authorization == "Basic YTpiIGM="
    assert "b%20c" not in repr(proxy) and "YTp" not in repr(proxy)


def test_a_proxy_without_one() -> None:
    assert read_proxy("https://[2001:db8::1]:443").authorization is None
    assert read_proxy("https://[2001:db8::1]:443").address == "[2001:db8::1]:443"


@pytest.mark.parametrize(
    "url",
    [
        "proxy:3128",
        "http://other",
        "ftp://proxy:1",
        "http://proxy:99999",
        "http://proxy:1/path",
        "",
        "http://[::1",
    ],
)
def test_other_forms_are_refused_without_repeating_them(url: str) -> None:
    with pytest.raises(ValueError, match="not a proxy's address; write") as refused:
        read_proxy(url)
    assert not url or url not in str(refused.value)
