"""The single values of a session and their places in `Session.values`; the numbers are stored: append only.

Plain numbers of a module, not an enum: they are looked up some 20 times an event.
"""

BROWSER = 0
DEVICE = 1
GEOLOCATION = 2
IP_ADDRESS = 3
USER_AGENT = 4
LAST_PAGE = 5
LAST_EVENT = 6
IP_ORGANIZATION = 7
EXTERNAL_ID = 8
EXTERNAL_URL = 9
EXTERNAL_CONTACT = 10
DERIVED_BROWSER = 11
DERIVED_DEVICE = 12
DERIVED_GEOLOCATION = 13
DERIVED_IP_ORGANIZATION = 14
CUSTOMER = 15
TYPE = 16
CAMPAIGN = 17
REFERRER = 18

COUNT = 19
