"""Objects inside of events that are kept and published as they came: members as in the tables of the journey domain.

Every member is optional because null is absent everywhere (contract §2); their order is the order of publication.
Renaming one is a change of both contracts.
"""

from typing import Annotated

from msgspec import Meta, Struct

Integer = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
"""Whole numbers are kept in 64 bits: what is wider cannot be stored and is no count, size or version."""


class Model(Struct, rename="camel", omit_defaults=True, gc=False):
    """A JSON object in camelCase whose absent members are None."""


class Reference(Model):
    id: str | None = None
    self_uri: str | None = None


class Attribute(Model):
    data_type: str | None = None
    value: str | int | float | bool | None = None  # Any width: it becomes text.


AttributeValue = Attribute | str | int | float | bool | None


class Browser(Model):
    family: str | None = None
    version: str | None = None
    lang: str | None = None
    fingerprint: str | None = None
    is_mobile: bool | None = None
    view_height: Integer | None = None
    view_width: Integer | None = None
    features_flash: bool | None = None
    features_java: bool | None = None
    features_pdf: bool | None = None
    features_webrtc: bool | None = None


class Device(Model):
    category: str | None = None
    type: str | None = None
    is_mobile: bool | None = None
    screen_height: Integer | None = None
    screen_width: Integer | None = None
    fingerprint: str | None = None
    os_family: str | None = None
    os_version: str | None = None
    screen_density: Integer | None = None
    manufacturer: str | None = None


class Geolocation(Model):
    country: str | None = None
    country_name: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    locality: str | None = None
    postal_code: str | None = None
    region: str | None = None
    region_name: str | None = None
    source: str | None = None
    timezone: str | None = None


class Page(Model):
    url: str | None = None
    title: str | None = None
    domain: str | None = None
    fragment: str | None = None
    hostname: str | None = None
    keywords: str | None = None
    lang: str | None = None
    pathname: str | None = None
    query_string: str | None = None
    breadcrumb: list[str | None] | None = None


class Campaign(Model):
    content: str | None = None
    medium: str | None = None
    name: str | None = None
    source: str | None = None
    term: str | None = None
    click_id: str | None = None
    network: str | None = None


class Referrer(Model):
    url: str | None = None
    domain: str | None = None
    hostname: str | None = None
    keywords: str | None = None
    pathname: str | None = None
    query_string: str | None = None
    fragment: str | None = None
    name: str | None = None
    medium: str | None = None


class App(Model):
    name: str | None = None
    namespace: str | None = None
    version: str | None = None
    build_number: str | None = None


class SdkLibrary(Model):
    name: str | None = None
    version: str | None = None


class NetworkConnectivity(Model):
    carrier: str | None = None
    bluetooth_enabled: bool | None = None
    cellular_enabled: bool | None = None
    wifi_enabled: bool | None = None
