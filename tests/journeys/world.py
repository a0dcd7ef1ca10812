"""The world that the visitors live in: their devices and places, the shop's products, where people come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.journeys.draft import Json


@dataclass(frozen=True, slots=True)
class Machine:
    """A browser on a device, as its user agent string says it."""

    user_agent: str
    family: str
    version: str
    category: str
    type: str
    os_family: str
    os_version: str
    width: int
    height: int
    density: int = 100
    manufacturer: str | None = None

    @property
    def is_mobile(self) -> bool:
        return self.category in {"mobile", "tablet"}

    def browser(self, lang: str) -> Json:
        return {
            "family": self.family,
            "version": self.version,
            "lang": lang,
            "isMobile": self.is_mobile,
            "viewHeight": self.height - 131,
            "viewWidth": self.width,
            "featuresFlash": False,
            "featuresJava": False,
            "featuresPdf": not self.is_mobile,
            "featuresWebrtc": True,
        }

    def device(self) -> Json:
        device: Json = {
            "category": self.category,
            "type": self.type,
            "isMobile": self.is_mobile,
            "screenHeight": self.height,
            "screenWidth": self.width,
            "osFamily": self.os_family,
            "osVersion": self.os_version,
            "screenDensity": self.density,
        }
        return device if self.manufacturer is None else {**device, "manufacturer": self.manufacturer}


_WINDOWS = "Mozilla/5.0 (Windows NT 10.0; Win64; x64)"
_MAC = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)"
_WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"
_APPLE = "AppleWebKit/605.1.15 (KHTML, like Gecko)"
_IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_4 like Mac OS X)"
_PIXEL = "Mozilla/5.0 (Linux; Android 15; Pixel 9)"
_GALAXY = "Mozilla/5.0 (Linux; Android 14; SM-S921B)"
MACHINES = (
    Machine(f"{_WINDOWS} {_WEBKIT} Chrome/136.0.0.0 Safari/537.36",
            "Chrome", "136.0.0.0", "desktop", "Other", "Windows", "10", 1920, 1080),
    Machine(f"{_WINDOWS} {_WEBKIT} Chrome/136.0.0.0 Safari/537.36 Edg/136.0.0.0",
            "Edge", "136.0.0.0", "desktop", "Other", "Windows", "10", 2560, 1440),
    Machine("Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:138.0) Gecko/20100101 Firefox/138.0",
            "Firefox", "138.0", "desktop", "Other", "Windows", "10", 1536, 864),
    Machine(f"{_MAC} {_APPLE} Version/18.4 Safari/605.1.15",
            "Safari", "18.4", "desktop", "Mac", "Mac OS X", "10.15.7", 1728, 1117, 200, "Apple"),
    Machine(f"{_MAC} {_WEBKIT} Chrome/135.0.0.0 Safari/537.36",
            "Chrome", "135.0.0.0", "desktop", "Mac", "Mac OS X", "10.15.7", 1512, 982, 200, "Apple"),
    Machine("Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
            "Firefox", "128.0", "desktop", "Other", "Linux", "Unknown", 1920, 1200),
    Machine(f"{_IPHONE} {_APPLE} Version/18.4 Mobile/15E148 Safari/604.1",
            "Mobile Safari", "18.4", "mobile", "iPhone", "iOS", "18.4", 393, 852, 300, "Apple"),
    Machine(f"{_PIXEL} {_WEBKIT} Chrome/136.0.0.0 Mobile Safari/537.36",
            "Chrome Mobile", "136.0.0.0", "mobile", "Pixel 9", "Android", "15", 412, 923, 263, "Google"),
    Machine(f"{_GALAXY} {_WEBKIT} SamsungBrowser/27.0 Chrome/125.0.0.0 Mobile Safari/537.36",
            "Samsung Internet", "27.0", "mobile", "Samsung SM-S921B", "Android", "14", 360, 780, 300, "Samsung"),
    Machine(f"Mozilla/5.0 (iPad; CPU OS 17_7 like Mac OS X) {_APPLE} Version/17.7 Mobile/15E148 Safari/604.1",
            "Mobile Safari", "17.7", "tablet", "iPad", "iOS", "17.7", 820, 1180, 200, "Apple"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Place:
    """Where an address is; addresses are from the ranges set aside for documentation."""

    country: str
    country_name: str
    region: str
    region_name: str
    locality: str
    postal_code: str
    latitude: float
    longitude: float
    timezone: str
    lang: str
    organization: str
    network: str

    def geolocation(self) -> Json:
        return {
            "country": self.country,
            "countryName": self.country_name,
            "latitude": self.latitude,
            "longitude": self.longitude,
            "locality": self.locality,
            "postalCode": self.postal_code,
            "region": self.region,
            "regionName": self.region_name,
            "source": "ip",
            "timezone": self.timezone,
        }


PLACES = (
    Place("AU", "Australia", "VIC", "Victoria", "Melbourne", "3000", -37.8159, 144.9669, "Australia/Melbourne",
          "en-AU", "Telstra Internet", "203.0.113."),
    Place("DE", "Germany", "BE", "Land Berlin", "Berlin", "10115", 52.5323, 13.3846, "Europe/Berlin",
          "de-DE", "Deutsche Telekom AG", "198.51.100."),
    Place("GB", "United Kingdom", "ENG", "England", "Manchester", "M1 1AE", 53.4809, -2.2374, "Europe/London",
          "en-GB", "BT Internet", "192.0.2."),
    Place("US", "United States", "IL", "Illinois", "Chicago", "60601", 41.8858, -87.6229, "America/Chicago",
          "en-US", "Comcast Cable", "198.51.100."),
    Place("BR", "Brazil", "SP", "São Paulo", "São Paulo", "01000", -23.5475, -46.6361, "America/Sao_Paulo",
          "pt-BR", "Claro NXT", "2001:db8:55:"),
    Place("JP", "Japan", "13", "Tokyo", "Tokyo", "100-0001", 35.6895, 139.6917, "Asia/Tokyo",
          "ja-JP", "KDDI Corporation", "2001:db8:81:"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Product:
    sku: str
    name: str
    category: str
    price: float


PRODUCTS = (
    Product("B-17", "Winter boots", "boots", 89.9),
    Product("B-21", "Hiking boots", "boots", 149.0),
    Product("T-03", "Two-person tent", "tents", 219.5),
    Product("T-08", "Tarp", "tents", 39.95),
    Product("H-11", "Bike helmet", "bikes", 64.99),
    Product("H-40", "City bike", "bikes", 799.0),
    Product("G-05", "Gloves", "clothes", 24.5),
    Product("G-09", "Rain jacket “Nordsee”", "clothes", 119.0),
    Product("L-02", "Head lamp", "light", 34.0),
)
SEARCHES = ("winter boots", "tent", "bike helmet", "rain jacket", "größe 42", "gloves & hats", "100% wool", "lamp")


@dataclass(frozen=True, slots=True)
class Origin:
    """What brings a visitor: the address before, the query it adds to the landing page, and what both mean."""

    query: str
    campaign: Json | None
    referrer_url: str | None
    referrer: Json | None


def _origin(query: str, campaign: Json | None, host: str | None, path: str = "/", found: Json | None = None) -> Origin:
    if host is None:
        return Origin(query, campaign, None, None)
    pathname, _, query_string = path.partition("?")
    referrer: Json = {"url": f"https://{host}{path}", "domain": ".".join(host.split(".")[-2:])}
    referrer |= {"hostname": host, "pathname": pathname}
    if query_string:
        referrer["queryString"] = query_string
    return Origin(query, campaign, referrer["url"], {**referrer, **(found or {"medium": "unknown"})})


_BING = {"medium": "search", "name": "Bing", "keywords": "winter boots"}
ORIGINS = (
    _origin("", None, None),
    _origin("", None, "www.google.com", "/", {"medium": "search", "name": "Google"}),
    _origin("", None, "www.bing.com", "/search?q=winter+boots", _BING),
    _origin("", None, "blog.example.net", "/best-boots"),
    _origin("", None, "www.facebook.com", "/", {"medium": "social", "name": "Facebook"}),
)
CAMPAIGN_ORIGINS = (
    _origin("utm_source=newsletter&utm_medium=email&utm_campaign=June+Sale&utm_content=top",
            {"content": "top", "medium": "email", "name": "June Sale", "source": "newsletter"}, None),
    _origin("utm_source=facebook&utm_medium=social&utm_campaign=Outdoor%20Days",
            {"medium": "social", "name": "Outdoor Days", "source": "facebook"},
            "www.facebook.com", "/", {"medium": "social", "name": "Facebook"}),
    _origin("utm_source=google&utm_medium=cpc&utm_campaign=brand&utm_term=bike+helmet&gclid=Cj0KCQjw-1",
            {"medium": "cpc", "name": "brand", "source": "google", "term": "bike helmet", "clickId": "Cj0KCQjw-1",
             "network": "Google"}, "www.google.com", "/", {"medium": "search", "name": "Google"}),
    _origin("msclkid=9f1c7c2e", {"clickId": "9f1c7c2e", "network": "Microsoft"},
            "www.bing.com", "/search?q=winter+boots", _BING),
)  # fmt: skip

QUEUES = ("queue-sales", "queue-service", "queue-returns")
USERS = ("user-ann", "user-bob", "user-cyd", "user-dee")
SEGMENTS = ("segment-browsers", "segment-buyers", "segment-loyal", "segment-big-spender")
ACTION_MAPS = ("map-offer-chat", "map-free-delivery")
