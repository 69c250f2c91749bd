"""The typed client of a segany server.

>>> from segany.client import Client
>>> with Client("http://127.0.0.1:8000", token="sgy_...") as client:
...     (photo,) = client.upload("photo.jpg").records
...     best = client.predict(photo.id, points=[(500, 375)]).candidates[0]
"""

from segany.errors import MissingExtraError

try:
    from segany.client.client import Client
    from segany.client.everything import Everything
except ModuleNotFoundError as error:
    if error.name != "httpx2":
        raise
    raise MissingExtraError("The client of a server", "client") from error

__all__ = ["Client", "Everything"]
