"""The HTTP API and the annotation page: requests turned into calls; logins and limits."""

from segany.serve.app import create_app
from segany.serve.run import serve
from segany.serve.settings import ServeSettings

__all__ = ["ServeSettings", "create_app", "serve"]
