"""The page: its built files, and what stands in their place where nobody built them."""

from pathlib import Path

from fastapi import FastAPI, Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.staticfiles import StaticFiles

from segany.serve._failures import failure

__all__ = ["PAGE", "add_page"]

PAGE = Path(__file__).parent / "page"
_FOREVER = "public, max-age=31536000, immutable"
_ABSENT = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>segany</title></head>
<body>
<h1>segany</h1>
<p>The server runs, but the annotation page was not built. Build it with npm and install again:</p>
<pre>cd web
npm ci
npm run build</pre>
<p>The API is at <a href="/api/v1/openapi.json">/api/v1</a>.</p>
</body></html>
"""


def add_page(app: FastAPI, folder: Path = PAGE) -> None:
    """Answer every other path with the page, whose own script knows the rest.

    Args:
        app: Where to.
        folder: The built files; need not be there.
    """
    index = folder / "index.html"
    files = StaticFiles(directory=folder, check_dir=False, follow_symlink=False)

    @app.get("/{path:path}", include_in_schema=False)
    async def page(request: Request, path: str) -> Response:
        if path.startswith("api/"):
            return failure(404, "not_found", "there is no such path.")
        found, _ = files.lookup_path(files.get_path(request.scope)) if path else ("", None)
        if found and Path(found).is_file() and Path(found) != index:
            hashed = path.startswith("assets/")
            return FileResponse(found, headers={"Cache-Control": _FOREVER if hashed else "no-cache"})
        if path.startswith("assets/"):
            return failure(404, "not_found", "there is no such file.")
        if not index.is_file():
            return HTMLResponse(_ABSENT, headers={"Cache-Control": "no-store"})
        return FileResponse(index, headers={"Cache-Control": "no-cache"})
