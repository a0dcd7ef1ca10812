import pytest
from hypothesis import given
from hypothesis import strategies as st

from projector.enrich.agent import browser_and_device_of, told_by
from projector.models import Browser, Device

CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36"
)
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_1_2 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/17.1 Mobile/15E148 Safari/604.1"
)
GOOGLEBOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
MOBILE_GOOGLEBOT = f"{IPHONE} (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
ANDROID = "Mozilla/5.0 (Linux; Android 13; {}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/116.0.0.0 {}Safari/537.36"


def test_a_desktop_browser_is_known_by_family_and_major_version() -> None:
    assert browser_and_device_of(CHROME) == (
        Browser(family="Chrome", version="120"),
        Device(category="desktop", type="Unknown", is_mobile=False, os_family="Windows", os_version="10"),
        False,
    )


def test_a_phone_is_known_by_type_maker_and_system_version() -> None:
    assert browser_and_device_of(IPHONE) == (
        Browser(family="Mobile Safari", version="17"),
        Device(
            category="mobile",
            type="iPhone",
            is_mobile=True,
            os_family="iOS",
            os_version="17.1.2",
            manufacturer="Apple",
        ),
        False,
    )


@pytest.mark.parametrize("user_agent", [GOOGLEBOT, MOBILE_GOOGLEBOT])
def test_a_bot_is_a_device_of_category_other_and_type_spider_whatever_it_plays(user_agent: str) -> None:
    browser, device, is_bot = browser_and_device_of(user_agent)

    assert is_bot
    assert browser is not None
    assert device is not None
    assert (browser.family, device.category, device.type, device.is_mobile) == ("Googlebot", "other", "Spider", False)


@pytest.mark.parametrize(
    ("user_agent", "category"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:25.0) Gecko/20100101 Firefox/25.0", "desktop"),
        (
            "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120 Safari/537.36",
            "desktop",
        ),
        (
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Version/17.0 Safari/605.1.15",
            "desktop",
        ),
        ("Mozilla/4.0 (compatible; MSIE 8.0; Windows NT 6.1; Trident/4.0; Tablet PC 2.0)", "desktop"),
        (
            "Mozilla/5.0 (iPad; CPU OS 16_1 like Mac OS X) AppleWebKit/605.1.15 Version/16.1 Mobile/15E148",
            "tablet",
        ),
        ("Mozilla/5.0 (Android 13; Tablet; rv:109.0) Gecko/118.0 Firefox/118.0", "tablet"),
        (ANDROID.format("SM-X906C", ""), "tablet"),
        (ANDROID.format("Pixel 7", "Mobile "), "mobile"),
        ("Dalvik/2.1.0 (Linux; U; Android 13; Pixel 7 Build/TQ3A)", "mobile"),
        ("Mozilla/5.0 (Mobile; rv:48.0) Gecko/48.0 Firefox/48.0 KAIOS/2.5", "mobile"),
        (
            "Mozilla/5.0 (Windows Phone 10.0; Android 6.0.1; Microsoft; Lumia 950) Mobile Safari/537.36 Edge/15.14977",
            "mobile",
        ),
        ("Opera/9.80 (J2ME/MIDP; Opera Mini/9.80) Presto/2.12", "mobile"),
        (
            "Mozilla/5.0 (SMART-TV; Linux; Tizen 6.0) AppleWebKit/537.36 SamsungBrowser/2.2 Chrome/63 TV Safari/537.36",
            "other",
        ),
        ("Mozilla/5.0 (Linux; Android 9; AFTS) AppleWebKit/537.36 (KHTML, like Gecko) Silk/100 Safari/537.36", "other"),
        ("Mozilla/5.0 (PlayStation 5 3.03/SmartTV) AppleWebKit/605.1.15 (KHTML, like Gecko)", "other"),
        ("curl/8.0", "other"),
    ],
)
def test_the_category_is_one_of_desktop_mobile_tablet_other(user_agent: str, category: str) -> None:
    _, device, is_bot = browser_and_device_of(user_agent)

    assert device is not None
    assert not is_bot
    assert device.category == category
    assert device.is_mobile == (category in {"mobile", "tablet"})


@pytest.mark.parametrize("user_agent", ["", " ", "blah"])
def test_a_text_that_tells_nothing_gives_nothing(user_agent: str) -> None:
    assert browser_and_device_of(user_agent) == (None, None, False)


def test_what_stands_far_behind_is_not_read() -> None:
    assert browser_and_device_of(CHROME + " " * 2000 + GOOGLEBOT) == browser_and_device_of(CHROME)


def test_a_string_that_goes_on_where_nothing_is_read_is_remembered_like_the_one_before() -> None:
    told = told_by(CHROME + " " * 2000 + "a")

    assert told_by(CHROME + " " * 2000 + "b") is told


@given(st.text(st.characters(exclude_categories=())) | st.text().map("Mozilla/5.0 (Linux; Android ".__add__))
def test_no_text_makes_it_raise_and_devices_have_all_that_the_model_requires(user_agent: str) -> None:
    browser, device, _ = browser_and_device_of(user_agent)

    assert browser is None or (browser.family and browser.version)
    assert device is None or (device.category and device.type and device.os_family and device.os_version)


@pytest.mark.parametrize(
    "user_agent",
    [
        "Feedfetcher-Google; (+http://www.google.com/feedfetcher.html; 3 subscribers)",
        "Feedly/1.0 (+http://www.feedly.com/fetcher.html; like FeedFetcher-Google)",
        "UniversalFeedParser/4.2-pre-314-svn +http://feedparser.org/",
    ],
)
def test_a_feed_reader_without_a_browser_is_a_bot(user_agent: str) -> None:
    browser, device, is_bot = browser_and_device_of(user_agent)

    assert (browser, is_bot) == (None, True)
    assert device is not None
    assert (device.category, device.type) == ("other", "Spider")
