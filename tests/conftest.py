"""Settings for the whole suite."""

import atexit
import os
import shutil
import tempfile

import hypothesis

# Before anything imports Matplotlib: tests have no screen.
os.environ["MPLBACKEND"] = "Agg"

# An embedding that an earlier run cached would hide a change of the encoder. Processes that tests start see it too.
os.environ["SEGANY_CACHE"] = tempfile.mkdtemp(prefix="segany-test-embeddings-")
atexit.register(shutil.rmtree, os.environ["SEGANY_CACHE"], ignore_errors=True)

# Shared machines are slow at times; a slow example is not a wrong one. The same examples each time: whether a change is
# accepted must not hang on luck. `make soak` looks for new ones.
hypothesis.settings.register_profile("segany", deadline=None, derandomize=True)
hypothesis.settings.register_profile("search", deadline=None, max_examples=500)
hypothesis.settings.load_profile("segany")
